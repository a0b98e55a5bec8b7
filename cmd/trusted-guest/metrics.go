package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/internal/metrics"
	"github.com/trusted-store/trusted-store/storage/guestpull"
	"github.com/trusted-store/trusted-store/storage/securemount"
)

// showMetrics shows metrics of what is done with these options, until end is called.
func showMetrics(ctx context.Context, address string, log *slog.Logger, mount *securemount.Options, images *guestpull.Options) (end func(), err error) {
	l, err := listenMetrics(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	if at, err := netip.ParseAddrPort(l.Addr().String()); err == nil && !at.Addr().IsLoopback() {
		log.Warn("whoever reaches this address reads names and sizes of stores", "metrics", l.Addr().String())
	}
	m := metrics.New(cli.Version())
	mount.SetUp, mount.IntegrityError, images.Pulled = m.SetUp, m.IntegrityError, m.Pulled
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := m.Serve(ctx, l, log); err != nil {
			log.Error("metrics are no longer shown", "err", err)
		}
	}()
	log.Info("showing metrics", "metrics", l.Addr().String())
	return func() { cancel(); <-ended }, nil
}

func listenMetrics(ctx context.Context, address string) (net.Listener, error) {
	if strings.HasPrefix(address, "/") {
		return securemount.Listen(ctx, address)
	}
	at, err := metricsAddress(address)
	if err != nil {
		return nil, err
	}
	var config net.ListenConfig
	return config.Listen(ctx, "tcp", at.String())
}

func checkMetricsAddress(address string) error {
	if address == "" || strings.HasPrefix(address, "/") {
		return nil
	}
	_, err := metricsAddress(address)
	return err
}

// metricsAddress understands IP:PORT, and a port alone, which is for this machine. All
// addresses of the machine are meant only when they are spelled.
func metricsAddress(text string) (netip.AddrPort, error) {
	port, err := strconv.ParseUint(strings.TrimPrefix(text, ":"), 10, 16)
	if err == nil {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port)), nil
	}
	at, err := netip.ParseAddrPort(strings.Replace(text, "localhost:", "127.0.0.1:", 1))
	if err != nil {
		return at, fmt.Errorf("--metrics %q: expected IP:PORT, a PORT of 127.0.0.1, or the absolute path of a socket", text)
	}
	return at, nil
}
