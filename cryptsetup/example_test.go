package cryptsetup_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/trusted-store/trusted-store/cryptsetup"
)

// tempDevice stands for a block device.
func tempDevice() (*os.File, func()) {
	f, err := os.CreateTemp("", "device")
	if err != nil {
		panic(err)
	}
	if err := f.Truncate(64 << 20); err != nil {
		panic(err)
	}
	return f, func() { _ = f.Close(); _ = os.Remove(f.Name()) }
}

// A volume whose key is never stored: a header without key slots. The volume
// key goes to Activate, and is gone when the guest is.
func ExampleNew() {
	device, done := tempDevice()
	defer done()

	key, err := cryptsetup.NewVolumeKey(cryptsetup.HMACSHA256)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer key.Wipe()
	header, err := cryptsetup.New(key, cryptsetup.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := header.Write(device); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(header.Integrity(), len(header.Keyslots()), key)
	// Output: hmac-sha256 0 [redacted]
}

// A volume that a key from outside opens, made and opened again.
func ExampleRead() {
	device, done := tempDevice()
	defer done()
	passphrase := []byte("thirty-two random bytes from a broker")

	key, err := cryptsetup.NewVolumeKey(cryptsetup.HMACSHA256)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer key.Wipe()
	header, err := cryptsetup.New(key, cryptsetup.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := header.AddKeyslot(passphrase, key, cryptsetup.RandomKeyKDF()); err != nil {
		fmt.Println(err)
		return
	}
	if err := header.Write(device); err != nil {
		fmt.Println(err)
		return
	}

	header, err = cryptsetup.Read(device, cryptsetup.Profile{})
	if err != nil {
		fmt.Println(err)
		return
	}
	opened, slot, err := header.Unlock(context.Background(), passphrase)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer opened.Wipe()
	fmt.Println("slot", slot, "opened,", opened.Len(), "bytes")

	_, _, err = header.Unlock(context.Background(), []byte("wrong"))
	fmt.Println(errors.Is(err, cryptsetup.ErrWrongKey), err)
	// Output:
	// slot 0 opened, 96 bytes
	// true wrong key: tried key slots [0]
}

// Nothing there: that is an error, and not an invitation to format.
func ExampleInspect() {
	report := cryptsetup.Inspect(make([]byte, 4096), cryptsetup.Profile{})
	fmt.Println(report.Verdict())
	for _, v := range report.Violations {
		fmt.Println(v)
	}
	// Output:
	// rejected by profile version 1, violations: 1
	// header.none: no LUKS magic at byte 0 and at byte 16384
}
