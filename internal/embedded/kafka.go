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

// Only this file and kafkarepair.go know which broker is embedded (ADR 0015). Everything else uses the
// Kafka protocol, and the same test suite passes on Apache Kafka.

// KafkaConfig configures StartKafka.
type KafkaConfig struct {
	// Dir keeps topics, offsets, transactions and the port over restarts and crashes of the process.
	// It can be deleted: topics can be rebuilt from PostgreSQL, and its format may change. "" keeps
	// everything in memory.
	Dir string
	// Port is on 127.0.0.1. 0 is the port of the last start in Dir, or otherwise any free one.
	Port int
	// Settings are broker settings by their Kafka names, such as
	// "group.consumer.session.timeout.ms". nil leaves the defaults.
	Settings map[string]string
	// Users are names with their passwords. If there are any, each client must log in as one of them
	// (SASL PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512): "admin" may do anything, the others what access
	// control lists allow. nil requires no login and allows everything. Users cannot be used with a Dir.
	Users map[string]string
	// TLS is the configuration of TLS for all connections. nil does not use TLS.
	TLS *tls.Config
	// Log gets single lines that a person should read. nil discards them.
	Log io.Writer
}

// KafkaClusterID is the cluster id of every embedded broker. It distinguishes an embedded broker from a
// real one. Directories keep the id with which they were created, and the oldest ones have this one.
const KafkaClusterID = "kfake"

// Kafka is the embedded development broker. It is one node without replicas, and does not create topics
// automatically. It runs in this process and is safe for concurrent use.
type Kafka struct {
	cfg  KafkaConfig
	lock *dirLock
	addr string // set by the first open, then only read

	mu           sync.Mutex
	cluster      *kfake.Cluster // guarded by mu; nil once closed
	proxy        *faultProxy    // guarded by mu
	startedEmpty bool           // guarded by mu
}

// StartKafka opens the broker in cfg.Dir. If the files there cannot be read, it renames them and the broker
// starts empty (StartedEmpty). The log says so.
func StartKafka(cfg KafkaConfig) (*Kafka, error) {
	k := &Kafka{cfg: cfg}
	if cfg.Dir != "" {
		if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("prepare the broker's directory: %w", err)
		}
		// A predecessor that is about to end needs a moment to release the lock.
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

// Addr returns the broker's host:port.
func (k *Kafka) Addr() string { return k.addr }

// StartedEmpty reports whether the last start or Restart found nothing on disk. Then topics have to be
// created, and filled from PostgreSQL.
func (k *Kafka) StartedEmpty() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.startedEmpty
}

// Close writes the state to disk and ends the broker. A second Close does nothing.
func (k *Kafka) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cluster == nil {
		return nil
	}
	return errors.Join(k.stop(), k.lock.release())
}

// Restart stops and starts the broker. Clients lose their connections, and find it at the same address
// with the state that was on disk. It needs a Dir.
func (k *Kafka) Restart() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cfg.Dir == "" || k.cluster == nil {
		return errors.New("restart the embedded broker: it keeps nothing on disk, or is closed")
	}
	if err := k.stop(); err != nil {
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

// StopBroker makes the broker unreachable, as if its machine had lost the network: connections are cut and
// new ones refused. The broker keeps its state, and its timeouts go on.
func (k *Kafka) StopBroker() error {
	p, err := k.openProxy()
	if err != nil {
		return err
	}
	return p.stop()
}

// StartBroker makes the broker reachable again after StopBroker, on the same port.
func (k *Kafka) StartBroker() error {
	p, err := k.openProxy()
	if err != nil {
		return err
	}
	return p.start()
}

// KafkaFault makes the broker answer requests with an error instead of executing them. As with a real
// broker, two codes come after the execution: REQUEST_TIMED_OUT (7) where that is possible, and
// NOT_ENOUGH_REPLICAS_AFTER_APPEND (20) to Produce. An empty selector matches every request. A request that
// has no topic, group or transaction does not match a selector for it.
type KafkaFault struct {
	Requests    []string // Kafka's names: "Produce", "EndTxn", "OffsetCommit" …
	Topic       string
	Group       string
	Transaction string // the transactional id
	Code        int16  // Kafka's error code, such as 51 for CONCURRENT_TRANSACTIONS
	Times       int    // how many requests; 0 is one, -1 is all until Remove
}

// InjectedFault is an active fault.
type InjectedFault struct{ h *kfake.FaultHandle }

// Hits returns how many requests the fault has answered.
func (f *InjectedFault) Hits() int { return f.h.Hits() }

// Wait returns once the fault has answered n requests, or with the error of ctx.
func (f *InjectedFault) Wait(ctx context.Context, n int) error { return f.h.Wait(ctx, n) }

// Remove removes the fault.
func (f *InjectedFault) Remove() { f.h.Remove() }

// Fault injects a fault. A Restart removes it.
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
	c, err := k.openCluster()
	if err != nil {
		return nil, err
	}
	return &InjectedFault{h: c.Fault(fault)}, nil
}

// Before calls fn once, when the next request with that name has arrived and before the broker executes it.
// The broker is blocked meanwhile, so fn must not call it. A Restart removes fn.
func (k *Kafka) Before(request string, fn func()) error {
	key, err := requestKey(request)
	if err != nil {
		return err
	}
	c, err := k.openCluster()
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

// LoseAnswers lets the broker execute the next n requests with that name, and cuts the connection instead of
// answering: the client cannot know whether they were executed.
func (k *Kafka) LoseAnswers(request string, n int) error {
	return k.lose(request, n, func(p *faultProxy) map[int16]int { return p.loseAnswers })
}

// LoseRequests cuts the connection when the next n requests with that name arrive, before the broker sees
// them. (franz-go does not retry if that is the first request on its connection.)
func (k *Kafka) LoseRequests(request string, n int) error {
	return k.lose(request, n, func(p *faultProxy) map[int16]int { return p.loseRequests })
}

func (k *Kafka) lose(request string, n int, which func(*faultProxy) map[int16]int) error {
	key, err := requestKey(request)
	if err != nil {
		return err
	}
	p, err := k.openProxy()
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	which(p)[key] = n
	return nil
}

func (k *Kafka) openProxy() (*faultProxy, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cluster == nil {
		return nil, errBrokerClosed
	}
	return k.proxy, nil
}

func (k *Kafka) openCluster() (*kfake.Cluster, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cluster == nil {
		return nil, errBrokerClosed
	}
	return k.cluster, nil
}

var errBrokerClosed = errors.New("the embedded broker is closed")

// open starts the cluster behind a proxy on the port. k.mu is held, or k is not shared yet.
func (k *Kafka) open(port int) error {
	l, err := listenRemembered(k.cfg.Dir, "kafka", port)
	if err != nil {
		return err
	}
	if k.addr == "" { // set once: Addr reads it without the mutex
		k.addr = l.Addr().String()
	}
	k.proxy = newFaultProxy(l, func(key int16) bool { return kmsg.RequestForKey(key) != nil }, k.cfg.TLS)
	k.startedEmpty = true
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID(KafkaClusterID),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return k.proxy, nil }),
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
	k.startedEmpty = !exists(filepath.Join(data, "meta.json"))
	if err := k.recoverFiles(data); err != nil {
		renamed := data + ".unreadable"
		logf(k.cfg.Log, "the broker's files in %s cannot be read (%v): renamed to %s, starting empty", data, err, renamed)
		if err := errors.Join(os.RemoveAll(renamed), os.Rename(data, renamed)); err != nil {
			return errors.Join(err, l.Close())
		}
		k.startedEmpty = true
	}
	// From here on the files are clean only after stop has written them.
	if err := os.RemoveAll(k.cleanFile()); err != nil {
		return errors.Join(err, l.Close())
	}
	k.cluster, err = kfake.NewCluster(append(opts, kfake.DataDir(data))...)
	return err
}

// users returns the options that require a login, if there are users.
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

// recoverFiles repairs the files of a broker that was killed, and returns an error if they cannot be used.
// It takes about 10 ms.
func (k *Kafka) recoverFiles(data string) error {
	if k.startedEmpty {
		return nil
	}
	if exists(k.cleanFile()) { // opens them once, on a port that no client knows
		c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(data))
		if err == nil {
			c.Close()
		}
		return err
	}
	aborted, finished, err := repair(data)
	if aborted+finished > 0 {
		logf(k.cfg.Log, "the broker was killed: %d open transactions aborted, %d partly committed ones finished",
			aborted, finished)
	}
	return err
}

// cleanFile returns the path of the file that exists if stop wrote the broker's files.
func (k *Kafka) cleanFile() string { return filepath.Join(k.cfg.Dir, "clean") }

// stop ends the cluster. k.mu is held.
func (k *Kafka) stop() error {
	k.cluster.Close()
	k.cluster = nil
	if k.cfg.Dir == "" {
		return nil
	}
	return writeDurably(k.cleanFile(), nil, 0o600)
}

// requestKey returns the number of a request by Kafka's name for it.
func requestKey(name string) (int16, error) {
	for key := range int16(kmsg.MaxKey + 1) {
		if kmsg.NameForKey(key) == name {
			return key, nil
		}
	}
	return 0, fmt.Errorf("Kafka has no request named %q", name)
}
