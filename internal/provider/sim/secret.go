package sim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base32"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Canary is the prefix of every password, token and secret key that the sim issues, so that a text search finds
// any leak.
const Canary = "CANARY-"

// access is one version of the credentials of an item's resources.
type access struct {
	resources []*resource // in plan order
	version   int
}

func (s access) equal(o access) bool {
	return s.version == o.version && slices.Equal(s.resources, o.resources)
}

// loadRoot reads the ledger's root key, or makes it on first use. All secrets are derived from it and from the
// resource's id, so they are the same after a restart although the ledger does not hold them.
func loadRoot(path string, random io.Reader) ([]byte, error) {
	root, err := os.ReadFile(path)
	if err == nil {
		if len(root) != sha256.Size {
			return nil, fmt.Errorf("read root key %s: %d bytes, want %d", path, len(root), sha256.Size)
		}
		return root, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read root key: %w", err)
	}
	root = make([]byte, sha256.Size)
	if _, err := io.ReadFull(random, root); err != nil {
		return nil, fmt.Errorf("draw root key: %w", err)
	}
	if err := writeFile(path, root); err != nil {
		return nil, fmt.Errorf("write root key: %w", err)
	}
	return root, nil
}

// writeFile writes a file and renames it into place when it is on disk, so that a crash never leaves half a key.
func writeFile(path string, content []byte) error {
	fresh, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = fresh.Write(content)
	if err = errors.Join(err, fresh.Sync(), fresh.Close()); err != nil {
		return err
	}
	return os.Rename(fresh.Name(), path)
}

// source derives the values of one secret.
type source struct {
	root    []byte
	id      string
	version int
}

func (s source) bytes(purpose string) []byte {
	mac := hmac.New(sha256.New, s.root)
	mac.Write([]byte(s.id + "|" + strconv.Itoa(s.version) + "|" + purpose))
	return mac.Sum(nil)
}

func (s source) password(purpose string) string {
	return Canary + base32.StdEncoding.EncodeToString(s.bytes(purpose))[:26]
}

// address returns an address in 198.18.0.0/15, which is reserved for benchmarks (RFC 2544).
func (s source) address(purpose string) string {
	b := s.bytes("address " + purpose)
	return fmt.Sprintf("198.%d.%d.%d", 18+b[0]%2, b[1], 1+b[2]%254)
}

// sshKey returns a private key in PEM that ssh can read, derived from the source.
func (s source) sshKey() (string, error) {
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), s.bytes("ssh key"))
	if err != nil { // the scalar is out of range, which happens once in 2^32
		return "", fmt.Errorf("derive ssh key: %w", err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return "", fmt.Errorf("derive ssh key: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})), nil
}

// host returns a name under .invalid, which never resolves (RFC 2606).
func host(r *resource, prefix string) string {
	return prefix + r.Name + "." + r.Region + ".sim.invalid"
}

// document returns what a customer needs to use the item (D21): a JSON object with "kind". The customer uses the
// last resource of the plan.
func (s access) document(root []byte) (json.RawMessage, error) {
	r := s.resources[len(s.resources)-1]
	c, err := readConfiguration(r.Configuration)
	if err != nil {
		return nil, err
	}
	from := source{root, r.ID, s.version}
	doc := map[string]any{"kind": r.Product, "simulated": true, "region": r.Region}
	switch r.Product {
	case "vps":
		err = describeVPS(doc, from, r, c)
	case "kubernetes":
		describeKubernetes(doc, from, r)
	case "database":
		describeDatabase(doc, from, r)
	case "gpu":
		err = describeGPU(doc, from, r, c)
	case "private_cloud":
		doc["api_endpoint"] = "https://" + host(r, "api.") + ":5000/v3"
		doc["dashboard_url"] = "https://" + host(r, "dashboard.")
		doc["username"], doc["password"] = "admin", from.password("admin")
	case "object_storage":
		doc["endpoint"], doc["bucket"] = "https://s3."+r.Region+".sim.invalid", r.Name
		doc["access_key"], doc["secret_key"] = strings.ToUpper(r.Name[len("pf-"):]), from.password("secret key")
	}
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("write secret: %w", err)
	}
	return text, nil
}

func describeVPS(doc map[string]any, from source, r *resource, c configuration) error {
	doc["hostname"], doc["ip_address"], doc["ssh_port"] = host(r, ""), from.address("v4"), 22
	doc["username"], doc["password"] = "root", from.password("root")
	if strings.HasPrefix(c.OSImage, "windows") {
		doc["username"], doc["rdp_port"] = "Administrator", 3389
		return nil
	}
	return addSSHKey(doc, from, c)
}

// addSSHKey adds a generated key if the customer sent none.
func addSSHKey(doc map[string]any, from source, c configuration) error {
	if len(c.SSHPublicKeys) > 0 {
		return nil
	}
	key, err := from.sshKey()
	doc["ssh_private_key"] = key
	return err
}

func describeKubernetes(doc map[string]any, from source, r *resource) {
	endpoint, token := "https://"+host(r, "api.")+":6443", from.password("token")
	doc["api_endpoint"], doc["token"] = endpoint, token
	doc["kubeconfig"] = "apiVersion: v1\nkind: Config\ncurrent-context: " + r.Name +
		"\nclusters:\n- name: " + r.Name + "\n  cluster:\n    server: " + endpoint +
		"\ncontexts:\n- name: " + r.Name + "\n  context:\n    cluster: " + r.Name + "\n    user: admin" +
		"\nusers:\n- name: admin\n  user:\n    token: " + token + "\n"
}

func describeDatabase(doc map[string]any, from source, r *resource) {
	name, password := host(r, ""), from.password("app")
	doc["host"], doc["port"], doc["database"], doc["username"], doc["password"] = name, 5432, "app", "app", password
	doc["connection_string"] = "postgresql://app:" + password + "@" + name + ":5432/app?sslmode=require"
}

func describeGPU(doc map[string]any, from source, r *resource, c configuration) error {
	nodes := make([]map[string]string, 0, c.Nodes)
	for i := range c.Nodes {
		n := strconv.FormatInt(i+1, 10)
		nodes = append(nodes, map[string]string{"hostname": host(r, "node-"+n+"."), "ip_address": from.address("node " + n)})
	}
	doc["nodes"], doc["username"], doc["password"] = nodes, "root", from.password("root")
	doc["api_endpoint"], doc["api_key"] = "https://"+host(r, "api."), from.password("api key")
	return addSSHKey(doc, from, c)
}
