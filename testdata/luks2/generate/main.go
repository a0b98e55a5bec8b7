// Command generate writes testdata/luks2/hostile: headers with right checksums,
// each one change away from one in testdata/luks2/good. It knows the format by
// itself and uses nothing of the package under test.
//
//	go run ./testdata/luks2/generate          # write them
//	go run ./testdata/luks2/generate -check   # fail when they differ
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/trusted-store/trusted-store/testdata/luks2/vector"
)

func main() {
	root := flag.String("root", "testdata/luks2", "directory of the vectors")
	check := flag.Bool("check", false, "compare instead of writing")
	flag.Parse()
	if err := run(*root, *check); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(root string, check bool) error {
	good, err := vector.Load(filepath.Join(root, "good"))
	if err != nil {
		return err
	}
	files := map[string][]byte{}
	for _, m := range slices.Concat(binaryMutations(), copyMutations(), jsonMutations(), missingMutations(),
		keyslotMutations(), sizeOnlyMutations(), aegisMutations(), kdfMutations(), segmentMutations(), tokenMutations(), otherMutations(), lengthMutations()) {
		v, err := m.apply(good)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		file := filepath.Join(root, "hostile", m.name+".vector")
		if files[file] != nil {
			return fmt.Errorf("%s: name is used twice", m.name)
		}
		files[file] = v.Encode()
	}
	if check {
		return compare(root, files)
	}
	dir := filepath.Join(root, "hostile")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for file, b := range files {
		if err := os.WriteFile(file, b, 0o644); err != nil {
			return err
		}
	}
	fmt.Println(len(files), "vectors")
	return nil
}

func compare(root string, files map[string][]byte) error {
	present, err := filepath.Glob(filepath.Join(root, "hostile", "*"))
	if err != nil {
		return err
	}
	if len(present) != len(files) {
		return fmt.Errorf("%d files in hostile, expected %d", len(present), len(files))
	}
	for file, want := range files {
		got, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("%s differs from what its mutation gives", file)
		}
	}
	return nil
}
