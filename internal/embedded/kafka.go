package embedded

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// This file and kafkarepair.go alone know which broker is embedded (ADR 0015). Outside them
// there is only the Kafka protocol, and the same suite passes on Apache Kafka.

// KafkaConfig says what broker StartKafka starts.
type KafkaConfig struct {
	// Dir keeps topics, offsets, transactions and the port over restarts and crashes of the process.
	// It can be thrown away: topics are rebuilt from PostgreSQL, and its format is no promise. ""
	// keeps everything in memory.
	Dir string
	// Port on 127.0.0.1. 0 takes the port of the last start in Dir, else any free one.
	Port int
	// Settings are broker settings by their Kafka names, such as
	// "group.consumer.session.timeout.ms". nil leaves them as they are.
	Settings map[string]string
	// Users asks everybody for a login (SASL PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512), by these names and
	// passwords: "admin" may do anything, the others what access control lists allow. nil asks nobody, and
	// allows everything. Not with a Dir.
	Users map[string]string
	// TLS is spoken with everybody, where it is not nil.
	TLS *tls.Config
	// Log is told, in single lines, what a person should know. nil is silent.
	Log io.Writer
}

// KafkaClusterID is the cluster id of every embedded broker, by which a process can tell it from a real one.
// Folders keep the id they were made with, and the oldest ones have this one.
const KafkaClusterID = "kfake"

// Kafka is the embedded development broker: one node, no replicas, no topics made by themselves. It
// runs in this process and is safe for concurrent use.
type Kafka struct {
	cfg  KafkaConfig
	lock *dirLock
	addr string // set by the first open, then only read

	mu      sync.Mutex
	cluster *kfake.Cluster // guarded by mu; nil once closed
	gate    *gate          // guarded by mu
	fresh   bool           // guarded by mu
}

// StartKafka opens the broker of cfg.Dir. A directory that cannot be read any more is put aside and
// the broker starts empty (StartedEmpty), which the log says.
func StartKafka(cfg KafkaConfig) (*Kafka, error) {
	k := &Kafka{cfg: cfg}
	if cfg.Dir != "" {
		if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("prepare the broker's directory: %w", err)
		}
		// A predecessor that is just ending gets a moment to let go.
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		lock, err := lockDir(ctx, cfg.Dir)
		if err != nil {
			return nil, fmt.Errorf("start the embedded broker: %w", err)
		}
		k.lock = lock
	}
	err := k.open(cfg.Port)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the embedded broker: %w", err), k.lock.release())
	}
	return k, nil
}

// Addr is the broker's host:port.
func (k *Kafka) Addr() string { return k.addr }

// StartedEmpty tells that the last start (or Restart) found nothing on disk: topics have to be made,
// and filled from PostgreSQL.
func (k *Kafka) StartedEmpty() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.fresh
}

// Close writes what is in memory to disk and ends the broker. A second Close does nothing.
func (k *Kafka) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cluster == nil {
		return nil
	}
	return errors.Join(k.shut(), k.lock.release())
}

// Restart is what clients see of a broker that is stopped and started: same address, connections
// gone, state as it is on disk. It needs a Dir.
func (k *Kafka) Restart() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cfg.Dir == "" || k.cluster == nil {
		return errors.New("restart the embedded broker: it keeps nothing on disk, or is closed")
	}
	if err := k.shut(); err != nil {
		return fmt.Errorf("restart the embedded broker: %w", err)
	}
	_, port, err := net.SplitHostPort(k.addr)
	if err != nil {
		return err
	}
	p, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	if err := k.open(p); err != nil {
		return fmt.Errorf("restart the embedded broker: %w", err)
	}
	return nil
}

// StopBroker makes the broker unreachable: connections are cut and new ones refused, as when its
// machine drops off the network. It keeps its state and its timeouts go on.
func (k *Kafka) StopBroker() error {
	g, err := k.theGate()
	if err != nil {
		return err
	}
	return g.shut()
}

// StartBroker ends StopBroker, on the same port.
func (k *Kafka) StartBroker() error {
	g, err := k.theGate()
	if err != nil {
		return err
	}
	return g.open()
}

// KafkaFault answers requests with an error in place of doing them. Two codes are, as with a real
// broker, given after the work was done: REQUEST_TIMED_OUT (7) where it can be, and
// NOT_ENOUGH_REPLICAS_AFTER_APPEND (20) to Produce. Empty selectors mean any; a request without
// what a selector names does not match.
type KafkaFault struct {
	Requests    []string // Kafka's names: "Produce", "EndTxn", "OffsetCommit" …
	Topic       string
	Group       string
	Transaction string // the transactional id
	Code        int16  // Kafka's error code, such as 51 for CONCURRENT_TRANSACTIONS
	Times       int    // how many requests; 0 is one, -1 all until Remove
}

// InjectedFault is a fault that was put in place.
type InjectedFault struct{ h *kfake.FaultHandle }

// Hits is how many requests it has answered.
func (f *InjectedFault) Hits() int { return f.h.Hits() }

// Wait returns once it has answered n requests, or with the error of ctx.
func (f *InjectedFault) Wait(ctx context.Context, n int) error { return f.h.Wait(ctx, n) }

// Remove ends it.
func (f *InjectedFault) Remove() { f.h.Remove() }

// Fault puts a fault in place. It is gone after a Restart.
func (k *Kafka) Fault(f KafkaFault) (*InjectedFault, error) {
	code := kerr.TypedErrorForCode(f.Code)
	if code == nil || (code == kerr.UnknownServerError && f.Code != kerr.UnknownServerError.Code) {
		return nil, fmt.Errorf("Kafka has no error with code %d", f.Code)
	}
	fault := kfake.Fault{Topic: f.Topic, Group: f.Group, TxnID: f.Transaction, Err: code, Count: f.Times}
	for _, name := range f.Requests {
		key, err := requestKey(name)
		if err != nil {
			return nil, err
		}
		fault.Keys = append(fault.Keys, kmsg.Key(key))
	}
	c, err := k.theCluster()
	if err != nil {
		return nil, err
	}
	return &InjectedFault{h: c.Fault(fault)}, nil
}

// Before runs fn once, when the next request of that name has arrived and before the broker acts on
// it. The broker stands still meanwhile: fn must not call it. fn is forgotten by a Restart.
func (k *Kafka) Before(request string, fn func()) error {
	key, err := requestKey(request)
	if err != nil {
		return err
	}
	c, err := k.theCluster()
	if err != nil {
		return err
	}
	c.ControlKey(key, func(kmsg.Request) (kmsg.Response, error, bool) {
		c.DropControl()
		fn()
		return nil, nil, false
	})
	return nil
}

// LoseAnswers lets the broker do the next n requests of that name and cuts the connection in place
// of answering: the client cannot know whether they were done.
func (k *Kafka) LoseAnswers(request string, n int) error {
	return k.arm(request, n, func(g *gate) map[int16]int { return g.loseAnswers })
}

// LoseRequests cuts the connection when the next n requests of that name arrive, before the broker
// sees them. (franz-go does not try again when that is the first request on its connection.)
func (k *Kafka) LoseRequests(request string, n int) error {
	return k.arm(request, n, func(g *gate) map[int16]int { return g.loseRequests })
}

func (k *Kafka) arm(request string, n int, which func(*gate) map[int16]int) error {
	key, err := requestKey(request)
	if err != nil {
		return err
	}
	g, err := k.theGate()
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	which(g)[key] = n
	return nil
}

func (k *Kafka) theGate() (*gate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cluster == nil {
		return nil, errBrokerClosed
	}
	return k.gate, nil
}

func (k *Kafka) theCluster() (*kfake.Cluster, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cluster == nil {
		return nil, errBrokerClosed
	}
	return k.cluster, nil
}

var errBrokerClosed = errors.New("the embedded broker is closed")

// open starts the cluster behind a gate on the port; k.mu is held, or k not yet shared.
func (k *Kafka) open(port int) error {
	l, err := listenRemembered(k.cfg.Dir, "kafka", port)
	if err != nil {
		return err
	}
	if k.addr == "" { // set once: Addr reads it without the mutex
		k.addr = l.Addr().String()
	}
	k.gate = newGate(l, func(key int16) bool { return kmsg.RequestForKey(key) != nil }, k.cfg.TLS)
	k.fresh = true
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID(KafkaClusterID),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return k.gate, nil }),
		kfake.BrokerConfigs(k.cfg.Settings),
	}
	if k.cfg.Log != nil {
		opts = append(opts, kfake.WithLogger(kfake.BasicLogger(k.cfg.Log, kfake.LogLevelError)))
	}
	opts = append(opts, k.users()...)
	if k.cfg.Dir == "" {
		k.cluster, err = kfake.NewCluster(opts...)
		return err
	}

	data := filepath.Join(k.cfg.Dir, "broker")
	k.fresh = !exists(filepath.Join(data, "meta.json"))
	if err := k.recover(data); err != nil {
		aside := data + ".unreadable"
		logf(k.cfg.Log, "the broker's files in %s cannot be read (%v): put aside as %s, starting empty", data, err, aside)
		if err := errors.Join(os.RemoveAll(aside), os.Rename(data, aside)); err != nil {
			return errors.Join(err, l.Close())
		}
		k.fresh = true
	}
	// From here on the files are only clean again when shut has written them.
	if err := os.RemoveAll(k.cleanMark()); err != nil {
		return errors.Join(err, l.Close())
	}
	k.cluster, err = kfake.NewCluster(append(opts, kfake.DataDir(data))...)
	return err
}

// users asks for a login when there are users.
func (k *Kafka) users() []kfake.Opt {
	if len(k.cfg.Users) == 0 {
		return nil
	}
	opts := []kfake.Opt{kfake.EnableSASL(), kfake.EnableACLs()}
	for name, password := range k.cfg.Users {
		for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
			if name == "admin" {
				opts = append(opts, kfake.Superuser(mechanism, name, password))
				continue
			}
			opts = append(opts, kfake.User(mechanism, name, password))
		}
	}
	return opts
}

// recover sees whether the files can be used, which an error denies, and makes those of a broker that
// was killed whole. It takes some 10 ms.
func (k *Kafka) recover(data string) error {
	if k.fresh {
		return nil
	}
	if exists(k.cleanMark()) { // opened on a port that nobody knows
		c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(data))
		if err == nil {
			c.Close()
		}
		return err
	}
	aborted, finished, err := repair(data)
	if aborted+finished > 0 {
		logf(k.cfg.Log, "the broker was killed: %d open transactions aborted, %d half committed ones finished",
			aborted, finished)
	}
	return err
}

// cleanMark is the file that says that the broker's files were written by shut.
func (k *Kafka) cleanMark() string { return filepath.Join(k.cfg.Dir, "clean") }

// shut ends the cluster; k.mu is held.
func (k *Kafka) shut() error {
	k.cluster.Close()
	k.cluster = nil
	if k.cfg.Dir == "" {
		return nil
	}
	return writeDurably(k.cleanMark(), nil, 0o600)
}

// requestKey is the number of a request by Kafka's name for it.
func requestKey(name string) (int16, error) {
	for key := range int16(kmsg.MaxKey + 1) {
		if kmsg.NameForKey(key) == name {
			return key, nil
		}
	}
	return 0, fmt.Errorf("Kafka has no request named %q", name)
}
