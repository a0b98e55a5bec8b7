package guestpull

import (
	"net/netip"
)

// place is where an address is, as seen from this guest.
type place int32

const (
	internet place = iota
	site           // a private network
	machine        // this guest itself
	link           // link-local: metadata and secrets of clouds, never images
)

func (p place) String() string {
	return [...]string{"on the internet", "in a private network", "on this machine", "on the local link"}[p]
}

// mayLeadTo reports whether a registry at p may send us to an address at other:
// to the internet, to its own kind of place, and from this machine to a private
// network.
func (p place) mayLeadTo(other place) bool {
	return other == internet || other == p || p == machine && other == site
}

var (
	machineAddresses = prefixes("0.0.0.0/8", "127.0.0.0/8", "::/128", "::1/128")
	// The last ones are where clouds answer, beside link-local addresses: Azure's
	// host, and Oracle's metadata.
	linkAddresses = prefixes("169.254.0.0/16", "fe80::/10", "224.0.0.0/4", "ff00::/8", "255.255.255.255/32",
		"168.63.129.16/32", "192.0.0.0/24")
	siteAddresses = prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fec0::/10", "64:ff9b:1::/48")
	// What ends in these is an IPv4 address in the last bytes, or after the first two.
	nat64, sixToFour = netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("2002::/16")
)

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// placeOf says where an address is. Source: the IANA special-purpose address
// registries.
func placeOf(a netip.Addr) place {
	a = translated(a.Unmap().WithZone(""))
	for p, list := range map[place][]netip.Prefix{machine: machineAddresses, link: linkAddresses, site: siteAddresses} {
		for _, prefix := range list {
			if prefix.Contains(a) {
				return p
			}
		}
	}
	return internet
}

// translated is the IPv4 address that an IPv6 address of a translator leads to.
func translated(a netip.Addr) netip.Addr {
	b := a.As16()
	switch {
	case nat64.Contains(a):
		return netip.AddrFrom4([4]byte(b[12:16]))
	case sixToFour.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return a
}
