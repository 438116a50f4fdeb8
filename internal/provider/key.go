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

// Key is the computed name of one part of one item in one generation. It is all that is needed to
// find what a lost answer made, so a crash between effect and commit loses nothing.
type Key struct {
	Installation, Tenant, Order, Item, Step string
	Generation                              int // of the item; never resets (D8)
}

// nameEncoding has 32 letters that RFC 1123 allows, so a name is valid as a host name everywhere.
var nameEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// Name is "pf-" and 20 letters (100 bits) of a hash over all fields: an RFC 1123 label.
func (k Key) Name() string {
	h := sha256.New()
	for _, field := range []string{k.Installation, k.Tenant, k.Order, k.Item, k.Step, strconv.Itoa(k.Generation)} {
		var n [8]byte // the length first, so that no two keys hash the same bytes
		binary.BigEndian.PutUint64(n[:], uint64(len(field)))
		h.Write(n[:])
		h.Write([]byte(field))
	}
	return "pf-" + strings.ToLower(nameEncoding.EncodeToString(h.Sum(nil))[:20])
}

// The labels every resource of ours carries.
const (
	LabelInstallation = "pf-inst"
	LabelItem         = "pf-item"
	LabelStep         = "pf-step"
	LabelGeneration   = "pf-gen"
)

// Labels are ids only, never a customer's text.
func (k Key) Labels() map[string]string {
	return map[string]string{
		LabelInstallation: k.Installation,
		LabelItem:         k.Item,
		LabelStep:         k.Step,
		LabelGeneration:   strconv.Itoa(k.Generation),
	}
}

// KeyFromLabels reads what Labels wrote: Tenant and Order stay empty. False means not labelled by us.
func KeyFromLabels(labels map[string]string) (Key, bool) {
	generation, err := strconv.Atoi(labels[LabelGeneration])
	k := Key{
		Installation: labels[LabelInstallation], Item: labels[LabelItem],
		Step: labels[LabelStep], Generation: generation,
	}
	return k, err == nil && k.Installation != "" && k.Item != "" && k.Step != ""
}

// WithStep is the key of another part of the same item and generation.
func (k Key) WithStep(part string) Key {
	k.Step = part
	return k
}

// Hash is the hex SHA-256 of what is ordered: product, plan, region and the configuration whatever
// the order of its members and its white space, which a database may change. Labels are left out.
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
	d.UseNumber() // 1e3 and 1000 stay apart, but no number loses digits
	var v any
	err := d.Decode(&v)
	return v, err
}
