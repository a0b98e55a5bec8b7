package cryptsetup

import (
	"context"

	"github.com/trusted-store/trusted-store/internal/dm"
	"github.com/trusted-store/trusted-store/internal/keyring"
)

// ActivateOther activates, with the kernel having loaded something else than
// what is compared with its live table afterwards.
func ActivateOther(ctx context.Context, m Mapping, loaded dm.Target) error {
	expected, err := m.table()
	if err != nil {
		return err
	}
	return dm.Activate(ctx, m.activation(expected, func(c *dm.Control) error {
		return c.Load(m.Name, dm.Table{{Length: m.Sectors, Target: loaded}}, dm.LoadOptions{})
	}))
}

// ActivateAfter activates, and calls ready between the moment in which the key
// can be found and the load that finds it.
func ActivateAfter(ctx context.Context, m Mapping, key *VolumeKey, ready func()) error {
	table, err := m.table()
	if err != nil {
		return err
	}
	return dm.Activate(ctx, m.activation(table, func(c *dm.Control) error {
		return keyring.WithLogonKey(m.keyDescription(), key.Bytes(), func() error {
			ready()
			return c.Load(m.Name, table, dm.LoadOptions{SecureData: true})
		})
	}))
}
