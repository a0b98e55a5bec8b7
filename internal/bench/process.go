package main

import (
	"bufio"
	"context"
	"encoding/gob"
	"errors"
	"os"

	"github.com/trusted-store/trusted-store/internal/dm"
)

// floorWord as the first argument says that this process is the floor of a
// command: its second argument is the file with the order.
const floorWord = "floor"

// floorProcess is the floor as a process of its own, from its start to its end,
// as a command has it: starting a program is not free either.
type floorProcess struct {
	programs
	bare *bare
	file string // of the order
}

// order is what a floor process is to do. It holds the whole filesystem, but for
// zeros.
type order struct {
	Disk      string
	Dir       string
	Sectors   uint64
	Integrity dm.Integrity
	Crypt     dm.Crypt
	Writes    []orderedWrite
}

type orderedWrite struct {
	Offset int64
	Length int
	Data   []byte // nil: zeros
}

func (in *inside) floorProcess(seed uint64) *floorProcess {
	return &floorProcess{programs: in.programs(), bare: floor(seed), file: in.dir + "/order"}
}

func (*floorProcess) name() string         { return floorProcessSide }
func (p *floorProcess) device(disk) string { return dm.Path(mapping) }

func (p *floorProcess) prepare(d disk) error {
	if err := p.bare.prepare(d); err != nil {
		return err
	}
	b := p.bare
	o := order{Disk: d.path, Sectors: b.sectors, Integrity: *b.integrity, Crypt: b.crypt}
	for _, w := range b.image.writes {
		ordered := orderedWrite{Offset: w.offset, Length: len(w.data)}
		if w.own {
			ordered.Data = w.data
		}
		o.Writes = append(o.Writes, ordered)
	}
	f, err := os.Create(p.file)
	if err != nil {
		return err
	}
	return errors.Join(gob.NewEncoder(f).Encode(o), f.Close())
}

func (p *floorProcess) make(ctx context.Context, _ disk, dir string) error {
	p.bare.begun = []string{mapping + "_dif", mapping}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return p.run(ctx, self, floorWord, p.file, dir)
}

func (p *floorProcess) remove(ctx context.Context, dir string) error { return p.bare.remove(ctx, dir) }

// mainFloor is that process.
func mainFloor(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("floor: want an order and a directory")
	}
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	var o order
	if err := gob.NewDecoder(bufio.NewReaderSize(f, 1<<20)).Decode(&o); err != nil {
		return err
	}
	b := &bare{integrity: &o.Integrity, crypt: o.Crypt, sectors: o.Sectors, image: &image{zeros: aligned(longestWrite)}}
	for _, w := range o.Writes {
		data := b.image.zeros[:w.Length]
		if w.Data != nil {
			data = aligned(w.Length)
			copy(data, w.Data)
		}
		b.image.writes = append(b.image.writes, write{offset: w.Offset, data: data})
	}
	return b.make(ctx, disk{path: o.Disk}, args[1])
}
