package cryptsetup

import (
	"bytes"
	"fmt"
)

// maxDepth bounds the nesting of objects and lists; a real header has 5.
const maxDepth = 8

// node is one value of a JSON text, in the order and spelling of the text.
type node struct {
	kind byte     // '{' '[' '"' '0' (a number) or 't' (true, false, null)
	text string   // the bytes of a string without its quotes, of a number or word
	keys []string // of an object; duplicates are kept
	vals []*node  // of an object or a list
}

// parser is a JSON parser that keeps everything a lenient one would smooth
// over: duplicate keys, spelling of numbers, escapes, white space.
type parser struct {
	in     []byte
	pos    int
	depth  int
	spaced bool
	faults *faults
}

// syntaxError ends the parse.
type syntaxError struct{ rule, detail string }

func (e *syntaxError) Error() string { return e.detail }

// parseJSON parses exactly one value. It returns nil after adding a violation
// when there is no telling what the text means; lesser faults are added and the
// parse goes on.
func parseJSON(in []byte, f *faults) *node {
	p := &parser{in: in, faults: f}
	n, err := p.value("")
	if err == nil {
		if p.space(); p.pos < len(p.in) {
			err = p.unexpected("the end")
		}
	}
	if err != nil {
		f.add(err.rule, fmt.Sprintf("byte %d", p.pos), "%s", err.detail)
		return nil
	}
	return n
}

func (p *parser) peek() byte {
	if p.pos < len(p.in) {
		return p.in[p.pos]
	}
	return 0
}

func (p *parser) unexpected(want string) *syntaxError {
	if p.pos >= len(p.in) {
		return &syntaxError{"json.syntax", "text ends, expected " + want}
	}
	return &syntaxError{"json.syntax", fmt.Sprintf("found %s, expected %s", quote(string(p.in[p.pos:p.pos+1])), want)}
}

// space skips white space, which a canonical text does not have.
func (p *parser) space() {
	for bytes.IndexByte([]byte(" \t\r\n"), p.peek()) >= 0 && p.pos < len(p.in) {
		if !p.spaced {
			p.spaced = true
			p.faults.add("json.whitespace", fmt.Sprintf("byte %d", p.pos), "white space between values, expected compact JSON")
		}
		p.pos++
	}
}

func (p *parser) value(path string) (*node, *syntaxError) {
	p.space()
	switch c := p.peek(); {
	case c == '{':
		return p.nested(c, path, p.object)
	case c == '[':
		return p.nested(c, path, p.list)
	case c == '"':
		s, err := p.str(path)
		return &node{kind: '"', text: s}, err
	case c == '-' || isDigit(c):
		return p.number()
	}
	for _, word := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(p.in[p.pos:], []byte(word)) {
			p.pos += len(word)
			return &node{kind: 't', text: word}, nil
		}
	}
	return nil, p.unexpected("a value")
}

func (p *parser) nested(kind byte, path string, body func(*node, string) *syntaxError) (*node, *syntaxError) {
	if p.depth == maxDepth {
		return nil, &syntaxError{"json.depth", fmt.Sprintf("nested deeper than %d levels", maxDepth)}
	}
	p.depth++
	p.pos++
	n := &node{kind: kind}
	if err := body(n, path); err != nil {
		return nil, err
	}
	p.depth--
	p.pos++
	return n, nil
}

// object parses members up to, and not including, the closing brace.
func (p *parser) object(n *node, path string) *syntaxError {
	seen := map[string]bool{}
	for p.space(); p.peek() != '}'; p.space() {
		if len(n.keys) > 0 {
			if err := p.expect(','); err != nil {
				return err
			}
		}
		if p.space(); p.peek() != '"' {
			return p.unexpected("a key")
		}
		key, err := p.str(path)
		if err != nil {
			return err
		}
		if seen[key] {
			p.faults.add("json.duplicate-key", step(path, key), "key appears more than once")
		}
		seen[key] = true
		p.space()
		if err := p.expect(':'); err != nil {
			return err
		}
		v, err := p.value(step(path, key))
		if err != nil {
			return err
		}
		n.keys, n.vals = append(n.keys, key), append(n.vals, v)
	}
	return nil
}

// list parses items up to, and not including, the closing bracket.
func (p *parser) list(n *node, path string) *syntaxError {
	for p.space(); p.peek() != ']'; p.space() {
		if len(n.vals) > 0 {
			if err := p.expect(','); err != nil {
				return err
			}
		}
		v, err := p.value(path)
		if err != nil {
			return err
		}
		n.vals = append(n.vals, v)
	}
	return nil
}

func (p *parser) expect(c byte) *syntaxError {
	if p.peek() != c {
		return p.unexpected(quote(string(c)))
	}
	p.pos++
	return nil
}
