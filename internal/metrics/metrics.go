// Package metrics shows Prometheus what a service does: what is live, read from the
// kernel at each scrape, and what was done since it was started.
//
// Names and values are of stores and sizes. Names of files are in no metric.
package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/trusted-store/trusted-store/storage"
)

const namespace = "trusted_store"

// Metrics are those of one service. Its methods may be called by many at once.
type Metrics struct {
	registry *prometheus.Registry
	live     *live

	setUp         *prometheus.HistogramVec
	setUpFailures *prometheus.CounterVec
	pull          prometheus.Histogram
	pullFailures  prometheus.Counter
	received      prometheus.Counter
}

// The values of the label action.
const (
	actionFormat = "format"
	actionOpen   = "open"
)

// New returns the metrics of a service of that version.
func New(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), live: newLive(storage.List)}
	m.setUp = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: "setup_duration_seconds",
		Help:    "Time until a store could be used, without waiting for its size, by whether its device was formatted or a volume opened.",
		Buckets: []float64{.025, .05, .1, .2, .4, .8, 1.6, 3.2, 6.4, 12.8, 25.6},
	}, []string{"action"})
	m.setUpFailures = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "setup_failures_total", Help: "Stores that could not be made or opened.",
	}, []string{"action"})
	for _, action := range []string{actionFormat, actionOpen} {
		m.setUp.WithLabelValues(action) // seen as 0 from the beginning
		m.setUpFailures.WithLabelValues(action)
	}
	m.pull = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: namespace, Name: "pull_duration_seconds", Help: "Time that pulls of images took which succeeded.",
		Buckets: []float64{.1, .3, 1, 3, 10, 30, 60, 120, 300, 600, 1800},
	})
	m.pullFailures = prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: namespace, Name: "pull_failures_total", Help: "Pulls of images that failed or were given up.",
	})
	m.received = prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: namespace, Name: "pull_received_bytes_total", Help: "Bytes of layers that came from registries, as they are there.",
	})
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "1, with the version of the service.", ConstLabels: prometheus.Labels{"version": version},
	})
	info.Set(1)
	m.registry.MustRegister(m.live, m.setUp, m.setUpFailures, m.pull, m.pullFailures, m.received, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// SetUp counts a store that was formatted or opened, or was to be.
func (m *Metrics) SetUp(formatted bool, took time.Duration, err error) {
	action := actionOpen
	if formatted {
		action = actionFormat
	}
	if err != nil {
		m.setUpFailures.WithLabelValues(action).Inc()
		return
	}
	m.setUp.WithLabelValues(action).Observe(took.Seconds())
}

// Pulled counts a pull that ended, and bytes that came for it.
func (m *Metrics) Pulled(took time.Duration, received uint64, err error) {
	m.received.Add(float64(received))
	if err != nil {
		m.pullFailures.Inc()
		return
	}
	m.pull.Observe(took.Seconds())
}

// IntegrityError counts reads that failed.
func (m *Metrics) IntegrityError(e storage.IntegrityEvent) { m.live.failed(e.UUID, e.Failures) }
