package kafka_test

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/embedded"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/kafka"
	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
	"github.com/platforma-cloud/orders/internal/order"
)

// secretFile writes a text to a file of mode 0600 and returns its path.
func secretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// brokerWithLogin starts a broker that requires a login, and TLS if conf is not nil.
func brokerWithLogin(t *testing.T, conf *tls.Config) kafka.Cluster {
	t.Helper()
	k, err := embedded.StartKafka(embedded.KafkaConfig{
		TLS: conf, Users: map[string]string{"admin": "admin's", "relay": "relay's", "readers": "readers's"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return kafka.Cluster{Brokers: []string{k.Addr()}, Names: kafka.StandardNames()}
}

// certificate returns a TLS configuration with a certificate for 127.0.0.1, and the file of its authority.
func certificate(t *testing.T) (conf *tls.Config, ca string) {
	t.Helper()
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	conf = &tls.Config{Certificates: srv.TLS.Certificates, MinVersion: tls.VersionTLS12}
	block := &pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}
	return conf, secretFile(t, string(pem.EncodeToMemory(block)))
}

// through returns the cluster with the given access.
func through(t *testing.T, c kafka.Cluster, a kafka.Access) kafka.Cluster {
	t.Helper()
	c, err := c.WithAccess(a)
	if err != nil {
		t.Fatalf("Through(%+v) = %v", a, err)
	}
	return c
}

// Each role logs in as itself with each mechanism, and an event gets from the outbox to its consumer.
func TestAnEventArrivesOverTLSWithALoginForEachRole(t *testing.T) {
	t.Parallel()
	for _, mechanism := range []string{"", kafka.ScramSHA256, kafka.Plain} {
		t.Run(mechanism, func(t *testing.T) {
			t.Parallel()
			conf, ca := certificate(t)
			c := brokerWithLogin(t, conf)
			login := func(user string) kafka.Cluster {
				return through(t, c, kafka.Access{
					CAFile: ca, User: user, PasswordFile: secretFile(t, user+"'s\n"), Mechanism: mechanism,
				})
			}
			admin := &kafkatest.Broker{Cluster: login("admin")}
			if id, err := admin.Identify(t.Context()); err != nil || id != embedded.KafkaClusterID {
				t.Fatalf("Identify() = %q, %v; want %q", id, err, embedded.KafkaClusterID)
			}
			if err := admin.Apply(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			grant(t, admin.Cluster, admin.Names.Grants("audit"))

			m := newMemoryOutbox()
			m.commit(app.OutboxRow{ID: m.nextID(), Record: record(t, orderID(1), 1, order.EvCreated)})
			start(t, kafka.NewRelay(login("relay"), 0, "test", m, logger(t)).RunForever)
			in := newInbox()
			start(t, run(kafka.NewConsumer(kafka.ConsumerDeps{
				Cluster: login("readers"), Refusals: in, Clock: fixedClock{at},
				Pause: kafka.Wait, Random: func() float64 { return 0 }, Log: logger(t),
			}, kafka.Subscription{Consumer: event.Audit, Group: "audit", Apply: in.apply})))
			kafkatest.Eventually(t, "event applied", func() bool { return in.count() == 1 })
		})
	}
}

func TestTheErrorOfARefusedAccessNamesTheBrokerAndSaysWhatToDo(t *testing.T) {
	t.Parallel()
	conf, ca := certificate(t)
	withTLS, withoutTLS := brokerWithLogin(t, conf), brokerWithLogin(t, nil)
	inbox, err := embedded.StartInbox(embedded.InboxConfig{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = inbox.Close() })
	const wrong = "swordfish-and-chips"
	right := secretFile(t, "relay's")
	for what, c := range map[string]struct {
		cluster kafka.Cluster
		access  kafka.Access
		refused bool
		want    string
	}{
		"a wrong password": {
			withTLS,
			kafka.Access{CAFile: ca, User: "relay", PasswordFile: secretFile(t, wrong)},
			true, "refuse user or password",
		},
		"a wrong password, plain": {
			withTLS,
			kafka.Access{CAFile: ca, User: "relay", PasswordFile: secretFile(t, wrong), Mechanism: kafka.Plain},
			true, "refuse user or password",
		},
		"an unknown user": {
			withTLS,
			kafka.Access{CAFile: ca, User: wrong[:9], PasswordFile: right},
			true, "refuse user or password",
		},
		"another authority": {
			withTLS,
			kafka.Access{CAFile: inbox.CAFile(), User: "relay", PasswordFile: right},
			true, "check --kafka-ca",
		},
		"the public authorities": {
			withTLS,
			kafka.Access{TLS: true, User: "relay", PasswordFile: right},
			true, "check --kafka-ca",
		},
		"TLS to a port without it": {
			withoutTLS,
			kafka.Access{CAFile: ca, User: "relay", PasswordFile: right},
			false, "--kafka-tls",
		},
		"no TLS to a port with it": {
			withTLS,
			kafka.Access{User: "relay", PasswordFile: right},
			false, "--kafka-tls",
		},
		"no login": {withoutTLS, kafka.Access{}, false, "--kafka-user"},
		"nobody there": {
			kafka.Cluster{Brokers: []string{"127.0.0.1:1"}},
			kafka.Access{},
			false, "reach the Kafka brokers 127.0.0.1:1",
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			_, err := through(t, c.cluster, c.access).Identify(t.Context())
			if err == nil || errors.Is(err, kafka.ErrAccess) != c.refused || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Identify() = %v; want one with %q, ErrAccess: %t", err, c.want, c.refused)
			}
			if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), wrong) {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

func TestAnInvalidAccessIsRefusedWithoutAskingABroker(t *testing.T) {
	t.Parallel()
	const password = "swordfish-and-chips"
	file := secretFile(t, password)
	open := secretFile(t, password)
	if err := os.Chmod(open, 0o640); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		access kafka.Access
		want   string
	}{
		"PLAIN without TLS": {
			kafka.Access{User: "relay", PasswordFile: file, Mechanism: kafka.Plain},
			"PLAIN sends the password as it is",
		},
		"a user alone":     {kafka.Access{User: "relay"}, "give --kafka-password"},
		"a password alone": {kafka.Access{PasswordFile: file}, "give --kafka-user"},
		"an unknown mechanism": {
			kafka.Access{User: "relay", PasswordFile: file, Mechanism: "GSSAPI"}, `SASL mechanism "GSSAPI"`,
		},
		"a file that is missing": {kafka.Access{User: "relay", PasswordFile: file + "s"}, "no such file"},
		"a file others may read": {kafka.Access{User: "relay", PasswordFile: open}, "has mode 0640: make it 0600"},
		"an empty file":          {kafka.Access{User: "relay", PasswordFile: secretFile(t, "\n")}, "holds no password"},
		"a folder":               {kafka.Access{User: "relay", PasswordFile: t.TempDir()}, "no regular file"},
		"no authority":           {kafka.Access{CAFile: file}, "holds no certificate"},
		"a missing authority":    {kafka.Access{CAFile: file + "s"}, "read the authority of the Kafka brokers"},
	} {
		_, err := kafka.Cluster{}.WithAccess(c.access)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), password) {
			t.Errorf("%s: Through() = %v; want one with %q and without the password", what, err, c.want)
		}
	}
}

// To change the password, an operator replaces the file. No process has to be restarted.
func TestANewPasswordIsUsedForTheNextLogin(t *testing.T) {
	t.Parallel()
	file := secretFile(t, "yesterday's")
	c := through(t, brokerWithLogin(t, nil), kafka.Access{User: "relay", PasswordFile: file})
	if _, err := c.Identify(t.Context()); !errors.Is(err, kafka.ErrAccess) {
		t.Fatalf("Identify() = %v with the old password, want ErrAccess", err)
	}
	if err := os.WriteFile(file, []byte("relay's"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Identify(t.Context()); err != nil {
		t.Errorf("Identify() = %v with the new password", err)
	}
}
