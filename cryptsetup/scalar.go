package cryptsetup

import (
	"bytes"
	"encoding/json"
)

// str parses a string and returns its bytes as they are spelled. LUKS2 needs
// neither escapes nor anything outside printable ASCII.
func (p *parser) str(path string) (string, *syntaxError) {
	p.pos++
	start, odd := p.pos, false
	for ; p.pos < len(p.in); p.pos++ {
		switch c := p.in[p.pos]; {
		case c == '"':
			s := string(p.in[start:p.pos])
			p.pos++
			if odd {
				p.faults.add("json.string", path, "found %s, expected printable ASCII without escapes", quote(s))
			}
			return s, nil
		case c == '\\':
			odd = true
			p.pos++
		case c < 0x20 || c > 0x7e:
			odd = true
		}
	}
	p.pos = min(p.pos, len(p.in))
	return "", p.unexpected("the end of a string")
}

// number parses a JSON number and keeps its spelling.
func (p *parser) number() (*node, *syntaxError) {
	start := p.pos
	for isDigit(p.peek()) || p.peek() != 0 && bytes.IndexByte([]byte("+-.eE"), p.peek()) >= 0 {
		p.pos++
	}
	text := p.in[start:p.pos]
	if !json.Valid(text) {
		return nil, &syntaxError{"json.syntax", "found " + quote(string(text)) + ", expected a number"}
	}
	return &node{kind: '0', text: string(text)}, nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
