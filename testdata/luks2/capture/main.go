// Command capture makes a vector of the start of an image file: of one that
// cryptsetup wrote, or, with -ours, of one that this project writes now.
//
//	go run ./testdata/luks2/capture -into good -name cryptsetup-plain -about "..." IMAGE
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/testdata/luks2/vector"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "capture:", err)
		os.Exit(1)
	}
}

func run() error {
	var (
		root    = flag.String("root", "testdata/luks2", "directory of the vectors")
		into    = flag.String("into", "good", "good or foreign")
		name    = flag.String("name", "", "name of the vector")
		about   = flag.String("about", "", "what it is")
		rules   = flag.String("rules", "", "violations expected, separated by spaces")
		integ   = flag.String("integrity", "hmac-sha256", "rule to read with: hmac-sha256, none, any")
		memory  = flag.Uint64("max-argon2-memory", 0, "bound to read with, in bytes")
		keyFile = flag.String("key", "", "file with a key that opens the header")
		slot    = flag.Int("slot", 0, "key slot that the key opens")
		volume  = flag.String("volume-key-sha256", "", "what its volume key hashes to, in hex")
		keep    = flag.Int("keep", 0, "bytes of key-slot areas to keep")
		tail    = flag.Int("tail", 0, "bytes behind the two copies")
		ours    = flag.String("ours", "", "write the header here and now: slots like 'random,passphrase', then 'authenticated'")
	)
	flag.Parse()
	v := &vector.Vector{Name: *name, About: *about, Rules: strings.Fields(*rules), Integrity: *integ,
		MaxArgon2Memory: *memory, Slot: *slot, Tail: max(*tail, *keep)}
	image := make([]byte, 4<<20)
	var err error
	if flag.NArg() == 1 {
		err = readImage(image, flag.Arg(0), v, *keyFile, *volume)
	} else {
		err = writeOurs(image, v, strings.Split(*ours, ","))
	}
	if err != nil {
		return err
	}
	v.Bytes = image[:vector.HeadersSize]
	if *keep > 0 {
		v.Area = *name + ".area"
		area := image[vector.HeadersSize : vector.HeadersSize+*keep]
		if err := os.WriteFile(filepath.Join(*root, "areas", v.Area), area, 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(*root, *into, *name+".vector"), v.Encode(), 0o644)
}

func readImage(image []byte, path string, v *vector.Vector, keyFile, volume string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Read(image); err != nil {
		return err
	}
	if keyFile == "" {
		return nil
	}
	if v.Key, err = os.ReadFile(keyFile); err != nil {
		return err
	}
	v.VolumeKeySHA256, err = hex.DecodeString(volume)
	return err
}

// memoryDevice is an image in memory.
type memoryDevice []byte

func (m memoryDevice) WriteAt(b []byte, at int64) (int, error) { return copy(m[at:], b), nil }

// writeOurs makes a header with key slots whose passphrases are fixed.
func writeOurs(image []byte, v *vector.Vector, slots []string) error {
	integrity, err := cryptsetup.ParseIntegrity(v.Integrity)
	if err != nil {
		return err
	}
	key, err := cryptsetup.NewVolumeKey(integrity)
	if err != nil {
		return err
	}
	defer key.Wipe()
	h, err := cryptsetup.New(key, cryptsetup.Options{Integrity: integrity})
	if err != nil {
		return err
	}
	for i, kind := range slots {
		switch kind {
		case "random":
			v.Key, v.Slot = bytes.Repeat([]byte{byte('A' + i)}, 32), i
			_, err = h.AddKeyslot(v.Key, key, cryptsetup.RandomKeyKDF())
		case "passphrase":
			v.Key, v.Slot = []byte("correct horse"), i
			_, err = h.AddKeyslot(v.Key, key, cryptsetup.Argon2id{Time: 1, MemoryKiB: 64, Threads: 1})
		}
		if kind == "authenticated" {
			err = h.Authenticate(key, 0)
		}
		if err != nil {
			return err
		}
		sum := sha256.Sum256(key.Bytes())
		v.VolumeKeySHA256 = sum[:]
	}
	return h.Write(memoryDevice(image))
}
