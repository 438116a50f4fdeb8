// Package metrics shows Prometheus the state of a process: its relay, its consumers, and the outbox that it
// shares with other processes. Each scrape asks the sources; the package keeps no figure but the number of
// scrapes that failed. It must not know a broker or a database. No label names a tenant, because an installation
// has hundreds of them.
package metrics

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/auditlog"
)

// scrapeTime is how long the sources of one scrape may take. A database that is slower counts as a failed source.
const scrapeTime = 5 * time.Second

// Sources are where the figures come from. A source that the process does not have is nil, and its figures are
// left out.
type Sources struct {
	Consumers func(ctx context.Context) ([]app.ConsumerStatus, error)
	Relay     func() app.RelayStatus
	Outbox    func(ctx context.Context) (app.OutboxStatus, error)
	Findings  func() map[auditlog.Kind]int64
}

// Handler answers scrapes in Prometheus' text format. When a source fails, only its own figures are missing, and
// platforma_scrape_failures_total counts it.
func Handler(s Sources) http.Handler {
	r := prometheus.NewRegistry()
	c := &collector{Sources: s, failures: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "platforma_scrape_failures_total", Help: "How often a source of figures could not be read.",
	}, []string{"source"})}
	r.MustRegister(c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// The figures. A relay that lags by 30 s is worth a warning, by 5 min an alarm. A snapshot that is in use for
// more than a minute is worth an alarm too, because it keeps dead outbox rows from being vacuumed.
var (
	outboxRows = describe("outbox_rows", "Events and dead letters that are committed and not on their topic yet.")
	relayLag   = describe("relay_lag_seconds", "Age of the oldest outbox row; 0 when there is none.")
	xminHeld   = describe("oldest_snapshot_seconds",
		"How long the database's oldest snapshot has been in use, at least.")
	relayLeader = describe("relay_leader", "1 when this process's relay is the one that publishes.", "shard")
	relayBatch  = describe("relay_batch_size", "Rows of the last batch that this process's relay published.", "shard")
	relayFenced = describe("relay_fenced_total", "How often another relay took over from this process's relay.", "shard")
	relayFailed = describe("relay_failing",
		"1 while this process's relay cannot publish: the broker is away, or a person is needed.", "shard")
	eventsBehind = describe("events_behind",
		"Events that a consumer has not finished, at most: while it is behind, a publication may count as one more. "+
			"0 when caught up.", "consumer")
	eventAge = describe("event_age_seconds",
		"Age of the oldest event that a consumer has read and not finished; 0 when caught up.", "consumer")
	applied    = describe("applied_total", "Events whose effect a consumer of this process committed.", "consumer")
	duplicates = describe("duplicate_total", "Events that came again and were absorbed.", "consumer")
	retried    = describe("retried_total", "Tries that failed and were followed by another.", "consumer")
	parked     = describe("parked_total", "Events that were parked with a dead letter after the last retry.", "consumer")
	blocked    = describe("blocked_total", "Events that were read behind a parked event of their order.", "consumer")
	refused    = describe("refused_total", "Records that the guard refused and that were never applied.", "consumer")
	stopped    = describe("stopped_partitions", "Partitions that are stopped at an event that cannot be applied.",
		"consumer")
	findings = describe("audit_findings_total",
		"Findings of this process's Audit consumer about the topic: any is an alarm.", "kind")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("platforma_"+name, help, labels, nil)
}

type collector struct {
	Sources
	failures *prometheus.CounterVec
}

// Describe sends every figure that a scrape may hold.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		outboxRows, relayLag, xminHeld, relayLeader, relayBatch, relayFenced, relayFailed,
		eventAge, eventsBehind, applied, duplicates, retried, parked, blocked, refused, stopped, findings,
	} {
		ch <- d
	}
	c.failures.Describe(ch)
}

// Collect asks the sources.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime) // a collector gets no context
	defer cancel()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	if c.Outbox != nil {
		if o, err := c.Outbox(ctx); err != nil {
			c.failures.WithLabelValues("outbox").Inc()
		} else {
			gauge(outboxRows, float64(o.Rows))
			gauge(relayLag, o.Lag.Seconds())
			gauge(xminHeld, o.XminHeld.Seconds())
		}
	}
	if c.Relay != nil {
		r := c.Relay()
		shard := strconv.Itoa(r.Shard)
		gauge(relayLeader, oneIf(r.Leader), shard)
		gauge(relayBatch, float64(r.Batch), shard)
		counter(relayFenced, r.Fenced, shard)
		gauge(relayFailed, oneIf(r.Failing), shard)
	}
	if c.Consumers != nil {
		list, err := c.Consumers(ctx)
		if err != nil {
			c.failures.WithLabelValues("consumers").Inc()
		}
		for _, s := range list {
			gauge(eventAge, s.Lag.Seconds(), s.Group)
			gauge(eventsBehind, float64(s.LagEvents), s.Group)
			counter(applied, s.Applied, s.Group)
			counter(duplicates, s.Duplicates, s.Group)
			counter(retried, s.Retried, s.Group)
			counter(parked, s.Parked, s.Group)
			counter(blocked, s.Blocked, s.Group)
			counter(refused, s.Refused, s.Group)
			gauge(stopped, float64(s.Stopped), s.Group)
		}
	}
	if c.Findings != nil {
		for kind, n := range c.Findings() {
			counter(findings, n, string(kind))
		}
	}
	c.failures.Collect(ch)
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
