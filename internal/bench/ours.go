package main

import (
	"context"
	"os"

	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/storage"
)

// ours is the command, from the start of its process to its end.
type ours struct {
	programs
	title  string
	tool   string
	whole  bool   // wait for the full size
	key    string // file; empty: ephemeral
	tags   bool   // in memory
	cipher string // empty: the default
}

func (in *inside) ours() *ours { return &ours{programs: in.programs(), title: oursSide, tool: in.tool} }

// tagged is that side with its tags in memory; whole as in grown.
func (in *inside) tagged(whole bool) *ours {
	return &ours{programs: in.programs(), title: taggedSide, tool: in.tool, whole: whole, tags: true}
}

// grown is a store whose filesystem has its full size when make returns.
func (in *inside) grown() *ours {
	return &ours{programs: in.programs(), title: oursSide, tool: in.tool, whole: true}
}

func (o *ours) name() string       { return o.title }
func (o *ours) prepare(disk) error { return nil }
func (o *ours) device(disk) string { return dm.Path(mapping) }

func (o *ours) make(ctx context.Context, d disk, dir string) error {
	args := []string{"create", d.path, "--name", mapping, "--mount", dir}
	if dir == "" {
		args[len(args)-1] = storage.NoMount
	}
	if o.whole && dir != "" {
		args = append(args, "--wait")
	}
	if o.tags {
		args = append(args, "--tags", "memory", "--shrink", "--quiet")
	}
	if o.cipher != "" {
		args = append(args, "--cipher", o.cipher)
	}
	if o.key != "" {
		args = append(args, "--key", "file:"+o.key)
	}
	return o.run(ctx, append([]string{o.tool}, args...)...)
}

func (o *ours) remove(ctx context.Context, _ string) error {
	return o.run(ctx, o.tool, "close", mapping)
}

// library is the same as a call in a process that runs already.
type library struct{ caller *worker }

func (*library) name() string       { return librarySide }
func (*library) prepare(disk) error { return nil }
func (*library) device(disk) string { return dm.Path(mapping) }

func (l *library) make(ctx context.Context, d disk, dir string) error {
	_, err := l.caller.do(ctx, job{Create: d.path, Dir: dir})
	return err
}

func (l *library) remove(ctx context.Context, _ string) error {
	_, err := l.caller.do(ctx, job{Close: true})
	return err
}

// randomKey writes a key of 32 random bytes and returns the file's name.
func (in *inside) randomKey() (string, error) {
	path := in.dir + "/key"
	return path, os.WriteFile(path, randomBytes(32), 0o600)
}
