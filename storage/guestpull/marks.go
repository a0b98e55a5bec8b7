package guestpull

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// mark is what has to be known of a directory of a layer when the layers below
// are there.
type mark uint8

const (
	// implied: the layer passes through it without an entry of its own. It looks
	// as in the layers below.
	implied mark = 1 << iota
	// erases: whiteouts are in it. Those that hide nothing are to go.
	erases
)

// marks are the directories of a layer that have a mark, as a tree: a name of many
// components takes no more memory than its bytes, and a little for each.
type marks struct {
	memory *budget
	ids    map[child]int32
	nodes  []markNode // the first is the layer's root
}

// child is a name in the directory with that number.
type child struct {
	parent int32
	name   string
}

type markNode struct {
	child
	mark mark
}

// nodeBytes is the memory of a node, beside its name.
const nodeBytes = 96

func newMarks(memory *budget) *marks {
	return &marks{memory: memory, ids: map[child]int32{}, nodes: []markNode{{mark: implied}}}
}

// set adds a mark to a directory; its path is relative, "." is the root.
func (m *marks) set(dir string, added mark) error {
	return m.setFrom(dir, strings.Count(dir, "/"), added)
}

// setFrom adds a mark to a directory and to those that lead to it, but for the
// first so many.
func (m *marks) setFrom(dir string, first int, added mark) error {
	id := int32(0)
	for name := range components(dir) {
		next, err := m.child(id, name)
		if err != nil {
			return err
		}
		if id = next; first <= 0 {
			m.nodes[id].mark |= added
		}
		first--
	}
	if id == 0 {
		m.nodes[id].mark |= added
	}
	return nil
}

func (m *marks) child(parent int32, name string) (int32, error) {
	if id, known := m.ids[child{parent, name}]; known {
		return id, nil
	}
	if err := m.memory.take(int64(len(name)) + nodeBytes); err != nil {
		return 0, err
	}
	id, key := int32(len(m.nodes)), child{parent, strings.Clone(name)}
	m.ids[key], m.nodes = id, append(m.nodes, markNode{child: key})
	return id, nil
}

// clear takes a mark off a directory.
func (m *marks) clear(dir string, gone mark) {
	if n := m.find(dir); n != nil {
		n.mark &^= gone
	}
}

func (m *marks) has(dir string, what mark) bool {
	n := m.find(dir)
	return n != nil && n.mark&what != 0
}

func (m *marks) find(dir string) *markNode {
	id := int32(0)
	for name := range components(dir) {
		next, known := m.ids[child{id, name}]
		if !known {
			return nil
		}
		id = next
	}
	return &m.nodes[id]
}

// components yields the names that a relative path is made of; "." has none.
func components(dir string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		if dir == "." {
			return
		}
		for name := range strings.SplitSeq(dir, "/") {
			if !yield(name) {
				return
			}
		}
	}
}

// walk calls visit for each directory, and for those that lead to one, parents
// first. The root, ".", has depth 0. Nothing can be marked any more.
func (m *marks) walk(visit func(depth int, dir string, mark mark) error) error {
	m.ids = nil
	order := make([]int32, len(m.nodes)-1)
	for i := range order {
		order[i] = int32(i + 1)
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(m.nodes[a].parent, m.nodes[b].parent) })
	return m.walkFrom(0, 0, ".", order, visit)
}

func (m *marks) walkFrom(id int32, depth int, dir string, order []int32, visit func(int, string, mark) error) error {
	if err := visit(depth, dir, m.nodes[id].mark); err != nil {
		return err
	}
	i, _ := slices.BinarySearchFunc(order, id, func(n, parent int32) int { return cmp.Compare(m.nodes[n].parent, parent) })
	for ; i < len(order) && m.nodes[order[i]].parent == id; i++ {
		if err := m.walkFrom(order[i], depth+1, path.Join(dir, m.nodes[order[i]].name), order, visit); err != nil {
			return err
		}
	}
	return nil
}
