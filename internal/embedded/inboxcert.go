package embedded

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certificate is the inbox's own key pair.
type certificate struct {
	pair tls.Certificate
	file string // path of the certificate, PEM
}

// ownCertificate reads the self-signed certificate for localhost from dir. It makes a new one if there is
// none, if it cannot be used, or if it expires within a month.
func ownCertificate(dir string, now time.Time) (certificate, error) {
	certFile, keyFile := filepath.Join(dir, "inbox.crt"), filepath.Join(dir, "inbox.key")
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err == nil && now.AddDate(0, 1, 0).Before(pair.Leaf.NotAfter) {
		return certificate{pair: pair, file: certFile}, nil
	}
	certPEM, keyPEM, err := selfSigned(now)
	if err != nil {
		return certificate{}, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return certificate{}, err
	}
	err = errors.Join(writeDurably(keyFile, keyPEM, 0o600), writeDurably(certFile, certPEM, 0o644))
	if err != nil {
		return certificate{}, err
	}
	pair, err = tls.X509KeyPair(certPEM, keyPEM)
	return certificate{pair: pair, file: certFile}, err
}

// selfSigned makes a self-signed certificate for this machine's own names.
func selfSigned(now time.Time) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "platforma development inbox"},
		NotBefore:             now.AddDate(0, 0, -1), // the clocks of clients may differ
		NotAfter:              now.AddDate(1, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
		DNSNames:              []string{"localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), nil
}
