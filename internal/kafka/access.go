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

// The SASL mechanisms, by Kafka's names. Plain sends the password itself, so it needs TLS.
const (
	ScramSHA512 = "SCRAM-SHA-512"
	ScramSHA256 = "SCRAM-SHA-256"
	Plain       = "PLAIN"
)

// ErrAccess says that a broker rejects our login or that we do not trust its certificate. It is
// permanent: a retry does not help.
var ErrAccess = errors.New("no access to the Kafka brokers")

// Access is how a process connects and logs in to the brokers. The zero value uses neither TLS nor a
// login. It holds no secret: the password stays in its file.
type Access struct {
	TLS          bool
	CAFile       string // PEM; implies TLS; "" trusts the system's authorities
	User         string // "" does not log in
	PasswordFile string // mode 0600; read at every login, so that a new password needs no restart
	Mechanism    string // "" is ScramSHA512
}

// identifyTimeout is how long Identify waits: an answer takes milliseconds.
const identifyTimeout = 10 * time.Second

// maxPassword is in bytes, and more than any broker accepts.
const maxPassword = 4096

// Through returns a copy of the cluster whose clients connect and log in by a. It checks the files of
// a, and returns an error if one of them cannot be used.
func (c Cluster) WithAccess(a Access) (Cluster, error) {
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
				return Cluster{}, fmt.Errorf("%s holds no certificate: give the brokers' authority as PEM", a.CAFile)
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

// login returns the SASL mechanism with its credentials, or nil if no user is set.
func (a Access) login() (sasl.Mechanism, error) {
	switch {
	case a.User == "" && a.PasswordFile == "":
		return nil, nil
	case a.User == "":
		return nil, errors.New("a password for Kafka without a user: give --kafka-user too")
	case a.PasswordFile == "":
		return nil, errors.New("a user for Kafka without a password: give --kafka-password, a file that holds it")
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
			return nil, errors.New(
				"PLAIN sends the password as it is: give --kafka-tls or --kafka-ca too, or use " + ScramSHA512)
		}
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			pass, err := a.password()
			return plain.Auth{User: a.User, Pass: pass}, err
		}), nil
	}
	return nil, fmt.Errorf("unknown SASL mechanism %q for Kafka: use %s, %s or %s",
		a.Mechanism, ScramSHA512, ScramSHA256, Plain)
}

func (a Access) password() (string, error) {
	pass, err := secretfile.Read("password file of Kafka", a.PasswordFile, maxPassword)
	if err == nil && pass == "" {
		err = fmt.Errorf("password file of Kafka %s holds no password", a.PasswordFile)
	}
	return pass, err
}

// Identify asks the brokers for the id of their cluster, and waits up to 10 s. ErrAccess means that
// the brokers reject our login or that we do not trust their certificate. Any other error means that
// they are unreachable or speak another protocol.
func (c Cluster) Identify(ctx context.Context) (string, error) {
	var login loginHook
	cl, err := c.client(kgo.RequestRetries(1), kgo.WithHooks(&login))
	if err != nil {
		return "", err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, identifyTimeout)
	defer cancel()
	meta, err := kadm.NewClient(cl).BrokerMetadata(ctx)
	if err != nil {
		return "", c.explain(err, login.unanswered.Load())
	}
	return meta.Cluster, nil
}

// loginHook notices when a broker closes the connection during a login instead of answering. Some
// brokers do so when the password is wrong.
type loginHook struct{ unanswered atomic.Bool }

// OnBrokerRead is called by the client for every answer.
func (h *loginHook) OnBrokerRead(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if key == kmsg.SASLAuthenticate.Int16() && hungUp(err) {
		h.unanswered.Store(true)
	}
}

func hungUp(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) }

// explain adds to the error of a first request what to do about it. unanswered says that the broker
// did not answer the login.
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
		return fmt.Errorf("%w: %s do not support this SASL mechanism; check --kafka-mechanism: %w", ErrAccess, at, err)
	case errors.As(err, &unverified):
		return fmt.Errorf("%w: the certificate of %s is not trusted; check --kafka-ca and the brokers' names: %w",
			ErrAccess, at, err)
	case errors.As(err, &record):
		return fmt.Errorf("%w: %s do not speak TLS; leave out --kafka-tls and --kafka-ca, or use their port for TLS: %w",
			ErrAccess, at, err)
	case hungUp(err):
		return fmt.Errorf("reach the Kafka brokers: %s close the connection; do they require TLS (--kafka-tls) "+
			"or a login (--kafka-user), or neither? %w", at, err)
	}
	return fmt.Errorf("reach the Kafka brokers %s: %w", at, err)
}
