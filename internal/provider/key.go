package provider

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Key identifies the resource of one step of one item in one generation. It is computed, so the resource of a
// call whose answer was lost can be found by it, and a crash between effect and commit loses nothing.
type Key struct {
	Installation, Tenant, Order, Item, Step string
	Generation                              int // the item's; never resets (D8)
}

// nameEncoding has 32 letters that RFC 1123 allows, so that a name is a valid host name everywhere.
var nameEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// Name returns "pf-" and 20 letters (100 bits) of a hash over all fields. It is an RFC 1123 label.
func (k Key) Name() string {
	h := sha256.New()
	for _, field := range []string{k.Installation, k.Tenant, k.Order, k.Item, k.Step, strconv.Itoa(k.Generation)} {
		var n [8]byte // the length first, so that different keys never hash the same bytes
		binary.BigEndian.PutUint64(n[:], uint64(len(field)))
		h.Write(n[:])
		h.Write([]byte(field))
	}
	return "pf-" + strings.ToLower(nameEncoding.EncodeToString(h.Sum(nil))[:20])
}

// The labels that every resource of an installation carries.
const (
	LabelInstallation = "pf-inst"
	LabelItem         = "pf-item"
	LabelStep         = "pf-step"
	LabelGeneration   = "pf-gen"
)

// Labels returns the labels of the key's resource. They hold only ids, never a customer's text.
func (k Key) Labels() map[string]string {
	return map[string]string{
		LabelInstallation: k.Installation,
		LabelItem:         k.Item,
		LabelStep:         k.Step,
		LabelGeneration:   strconv.Itoa(k.Generation),
	}
}

// KeyFromLabels reads the labels that Labels returns; Tenant and Order stay empty. It reports false if the labels
// are not ours.
func KeyFromLabels(labels map[string]string) (Key, bool) {
	generation, err := strconv.Atoi(labels[LabelGeneration])
	k := Key{
		Installation: labels[LabelInstallation], Item: labels[LabelItem],
		Step: labels[LabelStep], Generation: generation,
	}
	return k, err == nil && k.Installation != "" && k.Item != "" && k.Step != ""
}

// WithStep returns the key of another step of the same item and generation.
func (k Key) WithStep(step string) Key {
	k.Step = step
	return k
}

// Hash returns the hex SHA-256 of product, plan, region and configuration. The order of the configuration's
// members and its white space do not matter, because a database may change them. Labels are left out.
func (s Spec) Hash() (string, error) {
	configuration, err := canonical(s.Configuration)
	if err != nil {
		return "", fmt.Errorf("hash the configuration of a %s: %w", s.Product, err)
	}
	text, err := json.Marshal([]any{s.Product, s.Plan, s.Region, configuration})
	if err != nil {
		return "", fmt.Errorf("hash the spec of a %s: %w", s.Product, err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

func canonical(raw json.RawMessage) (any, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // 1e3 and 1000 stay different, but no number loses digits
	var v any
	err := d.Decode(&v)
	return v, err
}
