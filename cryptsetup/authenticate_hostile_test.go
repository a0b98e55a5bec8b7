package cryptsetup_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/storage/storagetest"
)

// hostile is a host that has kept what the device held after every change, and the
// device of another volume with the same passphrases.
type hostile struct {
	t       *testing.T
	r       *rand.Rand
	history [][]byte
	other   []byte
}

type object = map[string]any

// edit changes the JSON text of both copies, and makes the checksums right.
func (h *hostile) edit(device []byte, change func(root object)) []byte {
	text := h.parse(device)
	change(text)
	encoded, err := json.Marshal(text)
	require.NoError(h.t, err)
	out := bytes.Clone(device)
	for _, at := range []int{0, 16384} {
		clear(out[at+4096 : at+16384])
		copy(out[at+4096:at+16384], encoded)
	}
	return sealed(out)
}

func (h *hostile) parse(copyOf []byte) object {
	text, _, _ := bytes.Cut(copyOf[4096:16384], []byte{0})
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var root object
	require.NoError(h.t, d.Decode(&root))
	return root
}

// sealed makes the checksums of both copies right, as a host can.
func sealed(device []byte) []byte {
	for _, at := range []int{0, 16384} {
		c := device[at : at+16384]
		clear(c[448:512])
		sum := sha256.Sum256(c)
		copy(c[448:], sum[:])
	}
	return device
}

// binary changes the binary headers of both copies.
func (h *hostile) binary(device []byte, offset int, value []byte) []byte {
	out := bytes.Clone(device)
	copy(out[offset:], value)
	copy(out[16384+offset:], value)
	return sealed(out)
}

func (h *hostile) now() []byte    { return h.history[len(h.history)-1] }
func (h *hostile) before() []byte { return h.history[h.r.IntN(len(h.history)-1)] }

func (h *hostile) pick(of object) string {
	keys := slices.Sorted(maps.Keys(of))
	return keys[h.r.IntN(len(keys))]
}

// slotFrom puts a key slot of another time, or of another volume, with its area, into
// the header of now.
func (h *hostile) slotFrom(source []byte) []byte {
	slots := h.parse(source)["keyslots"].(object)
	slot := slots[h.pick(slots)].(object)
	offset, err := strconv.Atoi(slot["area"].(object)["offset"].(string))
	require.NoError(h.t, err)
	id := strconv.Itoa(h.r.IntN(8))
	out := h.edit(h.now(), func(root object) {
		all := root["keyslots"].(object)
		for key, s := range all {
			if s.(object)["area"].(object)["offset"] == slot["area"].(object)["offset"] {
				delete(all, key)
			}
		}
		all[id] = slot
		root["digests"].(object)["0"].(object)["keyslots"] = slices.Sorted(maps.Keys(all))
	})
	copy(out[offset:offset+385024], source[offset:])
	return out
}

func (h *hostile) tokenFrom(source []byte) []byte {
	return h.edit(h.now(), func(root object) { root["tokens"] = h.parse(source)["tokens"] })
}

// kinds are what the host does, by name.
func (h *hostile) kinds() map[string]func() []byte {
	return map[string]func() []byte{
		"old":            func() []byte { return h.before() },
		"other volume":   func() []byte { return h.other },
		"mixed copies":   func() []byte { return append(bytes.Clone(h.before()[:16384]), h.now()[16384:]...) },
		"other areas":    func() []byte { return append(bytes.Clone(h.now()[:32768]), h.before()[32768:]...) },
		"old slot":       func() []byte { return h.slotFrom(h.before()) },
		"foreign slot":   func() []byte { return h.slotFrom(h.other) },
		"old token":      func() []byte { return h.tokenFrom(h.before()) },
		"old with token": func() []byte { return h.edit(h.before(), func(o object) { o["tokens"] = h.parse(h.now())["tokens"] }) },
		"foreign token":  func() []byte { return h.tokenFrom(h.other) },
		"no token":       func() []byte { return h.edit(h.now(), func(o object) { o["tokens"] = object{} }) },
		"epoch": func() []byte {
			return h.edit(h.before(), func(o object) {
				o["tokens"].(object)["0"].(object)["epoch"] = strconv.FormatInt(1+h.r.Int64(), 10)
			})
		},
		"iterations": func() []byte {
			return h.edit(h.now(), func(o object) {
				slots := o["keyslots"].(object)
				slots[h.pick(slots)].(object)["kdf"].(object)["iterations"] = 1001 + h.r.IntN(1000)
			})
		},
		"one slot less": func() []byte {
			return h.edit(h.now(), func(o object) {
				slots := o["keyslots"].(object)
				delete(slots, h.pick(slots))
				o["digests"].(object)["0"].(object)["keyslots"] = slices.Sorted(maps.Keys(slots))
			})
		},
		"area": func() []byte {
			out := bytes.Clone(h.now())
			out[32768+385024*h.r.IntN(2)+h.r.IntN(385024)] ^= 1 << h.r.IntN(8)
			return out
		},
		"uuid":  func() []byte { return h.binary(h.now(), 168, []byte(uuid.NewString())) },
		"label": func() []byte { return h.binary(h.now(), 24, []byte{'a' + byte(h.r.IntN(26))}) },
	}
}

// A host with all that the device ever held, and with another volume's, puts together
// what it likes, with right checksums. Nothing of it opens with any key, when the caller
// knows the epoch; what says the same in another order does.
func TestHostileHeadersAreNotAuthentic(t *testing.T) {
	if storagetest.Bed() != "" {
		t.Skip("needs no bed")
	}
	h := newHostile(t)
	want := cryptsetup.Authentication{MinEpoch: 4}
	same := h.edit(h.now(), func(object) {}) // in the order of the alphabet
	require.NotEqual(t, h.now()[:32768], same[:32768])
	require.NoError(t, openAuthentic(t, same, "old", want))
	require.NoError(t, openAuthentic(t, h.binary(h.now(), 104, []byte{1, 2, 3}), "new", want), "a salt says nothing")

	kinds := h.kinds()
	names := slices.Sorted(maps.Keys(kinds))
	rounds := 3 * len(names)
	if os.Getenv("TRUSTED_STORE_SOAK") != "" {
		rounds = 1000
	}
	authenticated := map[string]int{}
	for n := range rounds {
		kind := names[n%len(names)]
		device := kinds[kind]()
		if bytes.Equal(device, same) { // a slot that is there already, in its own place
			continue
		}
		for _, passphrase := range []string{"old", "new", "gone"} {
			err := openAuthentic(t, device, passphrase, want)
			require.Error(t, err, "%s, %s", kind, passphrase)
			if !errors.Is(err, cryptsetup.ErrWrongKey) {
				require.ErrorIs(t, err, cryptsetup.ErrHeaderRejected)
			}
			for _, e := range []error{cryptsetup.ErrHeaderChanged, cryptsetup.ErrOldHeader, cryptsetup.ErrNotAuthenticated} {
				if errors.Is(err, e) {
					authenticated[kind]++
				}
			}
		}
	}
	for _, kind := range names {
		if kind != "mixed copies" && kind != "other volume" {
			require.Positive(t, authenticated[kind], "%s: its token was never asked for", kind)
		}
	}
	require.ErrorIs(t, openAuthentic(t, h.other, "old", cryptsetup.Authentication{Fingerprint: h.fingerprint(t)}), cryptsetup.ErrOtherVolume)
}

// newHostile has seen a key that is gone, and a second one that was added.
func newHostile(t *testing.T) *hostile {
	t.Helper()
	d, h, key := newAuthenticated(t, cryptsetup.HMACSHA256, "old", "gone")
	host := &hostile{t: t, r: rand.New(rand.NewPCG(5, 6)), history: [][]byte{bytes.Clone(d.durable)}}
	for _, change := range []func() error{
		func() error { _, err := h.AddKeyslot([]byte("first"), key, cheap); return err },
		func() error { return h.RemoveKeyslot(1) },
		func() error { return h.ChangeKeyslot(2, []byte("new"), key, cheap) },
	} {
		require.NoError(t, change())
		renew(t, h, key, d)
		host.history = append(host.history, bytes.Clone(d.durable))
	}
	other, _, _ := newAuthenticated(t, cryptsetup.HMACSHA256, "old", "new", "gone")
	host.other = other.durable
	return host
}

func (h *hostile) fingerprint(t *testing.T) [32]byte {
	t.Helper()
	got, err := cryptsetup.Read(bytes.NewReader(h.now()), cryptsetup.Profile{})
	require.NoError(t, err)
	key, _, err := got.Unlock(t.Context(), []byte("old"))
	require.NoError(t, err)
	defer key.Wipe()
	return key.Fingerprint()
}
