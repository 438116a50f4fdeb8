package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/platforma-cloud/orders/internal/secretfile"
)

// The ways to log in, by Kafka's names. Plain sends the password itself, so it needs TLS.
const (
	ScramSHA512 = "SCRAM-SHA-512"
	ScramSHA256 = "SCRAM-SHA-256"
	Plain       = "PLAIN"
)

// ErrAccess is a broker that will not have us, or that we do not trust: trying again does not help.
var ErrAccess = errors.New("no access to the Kafka brokers")

// Access is how the brokers are reached and who we are there. The zero value is neither TLS nor login.
// It holds no secret: the password stays in its file.
type Access struct {
	TLS          bool
	CAFile       string // PEM; "" trusts the system's authorities. It implies TLS
	User         string // "" does not log in
	PasswordFile string // mode 0600; read with every login, so that a new password needs no restart
	Mechanism    string // "" is ScramSHA512
}

// knockTime is how long Identify waits: an answer takes milliseconds.
const knockTime = 10 * time.Second

// maxPassword is more than any broker takes, in bytes.
const maxPassword = 4096

// Through gives the cluster as it is reached with a. Files that cannot be used are found out here.
func (c Cluster) Through(a Access) (Cluster, error) {
	opts := slices.Clone(c.options)
	if a.TLS || a.CAFile != "" {
		conf := &tls.Config{MinVersion: tls.VersionTLS12}
		if a.CAFile != "" {
			pem, err := os.ReadFile(a.CAFile)
			if err != nil {
				return Cluster{}, fmt.Errorf("read the authority of the Kafka brokers: %w", err)
			}
			conf.RootCAs = x509.NewCertPool()
			if !conf.RootCAs.AppendCertsFromPEM(pem) {
				return Cluster{}, fmt.Errorf("%s holds no certificate: it takes the brokers' authority as PEM", a.CAFile)
			}
		}
		opts = append(opts, kgo.DialTLSConfig(conf))
	}
	login, err := a.login()
	if err != nil {
		return Cluster{}, err
	}
	if login != nil {
		opts = append(opts, kgo.SASL(login))
	}
	c.options = opts
	return c, nil
}

// login is nil for who does not log in.
func (a Access) login() (sasl.Mechanism, error) {
	switch {
	case a.User == "" && a.PasswordFile == "":
		return nil, nil
	case a.User == "":
		return nil, errors.New("a password for Kafka and no user: give --kafka-user too")
	case a.PasswordFile == "":
		return nil, errors.New("a user for Kafka and no password: give --kafka-password, a file that holds it")
	}
	if _, err := a.password(); err != nil {
		return nil, err
	}
	asScram := func(context.Context) (scram.Auth, error) {
		pass, err := a.password()
		return scram.Auth{User: a.User, Pass: pass}, err
	}
	switch a.Mechanism {
	case ScramSHA512, "":
		return scram.Sha512(asScram), nil
	case ScramSHA256:
		return scram.Sha256(asScram), nil
	case Plain:
		if !a.TLS && a.CAFile == "" {
			return nil,
				errors.New("PLAIN sends the password as it is: give --kafka-tls or --kafka-ca too, or take " + ScramSHA512)
		}
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			pass, err := a.password()
			return plain.Auth{User: a.User, Pass: pass}, err
		}), nil
	}
	return nil, fmt.Errorf("there is no way to log in to Kafka named %q; there are %s, %s and %s", a.Mechanism,
		ScramSHA512, ScramSHA256, Plain)
}

func (a Access) password() (string, error) {
	pass, err := secretfile.Read("password file of Kafka", a.PasswordFile, maxPassword)
	if err == nil && pass == "" {
		err = fmt.Errorf("password file of Kafka %s holds no password", a.PasswordFile)
	}
	return pass, err
}

// Identify asks the brokers for the id of their cluster, within 10 s. Brokers that refuse us, or whose
// certificate we refuse, are ErrAccess; any other error is brokers that are away or speak otherwise.
func (c Cluster) Identify(ctx context.Context) (string, error) {
	var login loginHook
	cl, err := c.client(kgo.RequestRetries(1), kgo.WithHooks(&login))
	if err != nil {
		return "", err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, knockTime)
	defer cancel()
	meta, err := kadm.NewClient(cl).BrokerMetadata(ctx)
	if err != nil {
		return "", c.explain(err, login.unanswered.Load())
	}
	return meta.Cluster, nil
}

// loginHook notices that a broker hung up on a login in place of answering, as some do to a wrong password.
type loginHook struct{ unanswered atomic.Bool }

// OnBrokerRead is told of every answer.
func (h *loginHook) OnBrokerRead(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if key == kmsg.SASLAuthenticate.Int16() && hungUp(err) {
		h.unanswered.Store(true)
	}
}

func hungUp(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) }

// explain says what to do about the error of a first request; unanswered is a login that got no answer.
func (c Cluster) explain(err error, unanswered bool) error {
	at := strings.Join(c.Brokers, ",")
	var (
		unverified *tls.CertificateVerificationError
		record     tls.RecordHeaderError
	)
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed), unanswered:
		return fmt.Errorf("%w: %s refuse user or password; check --kafka-user and the file of --kafka-password: %w",
			ErrAccess, at, err)
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return fmt.Errorf("%w: %s do not take this way to log in; check --kafka-mechanism: %w", ErrAccess, at, err)
	case errors.As(err, &unverified):
		return fmt.Errorf("%w: the certificate of %s is not trusted; check --kafka-ca and the brokers' names: %w",
			ErrAccess, at, err)
	case errors.As(err, &record):
		return fmt.Errorf("%w: %s do not speak TLS; leave out --kafka-tls and --kafka-ca, or take their port for TLS: %w",
			ErrAccess, at, err)
	case hungUp(err):
		return fmt.Errorf("reach the Kafka brokers: %s hang up; do they want TLS (--kafka-tls) or a login (--kafka-user), "+
			"or neither? %w", at, err)
	}
	return fmt.Errorf("reach the Kafka brokers %s: %w", at, err)
}
