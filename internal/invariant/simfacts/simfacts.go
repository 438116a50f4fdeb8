// Package simfacts reads the simulated provider's part of invariant.Facts from its operator's API: the resources that
// exist, every call ever made, and the secrets that were issued, which the checker searches for. It must not know the
// product's adapter, so the format is decoded here a second time.
package simfacts

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/platforma-cloud/orders/internal/invariant"
)

// canary is the prefix of every password, token and key that the sim issues.
const canary = "CANARY-"

// Read reads the ledger. It must be called before the database's snapshot is taken: every intent is committed before
// its call, so the snapshot then has an intent for every resource.
func Read(ctx context.Context, simURL string) (*invariant.Cloud, error) {
	var ledger struct {
		Live []struct {
			ID     string            `json:"id"`
			Name   string            `json:"name"`
			Kind   string            `json:"kind"`
			Phase  string            `json:"phase"`
			Labels map[string]string `json:"labels"`
		} `json:"live"`
		Log []struct {
			At         time.Time `json:"at"`
			Operation  string    `json:"operation"`
			Key        string    `json:"key"`
			Result     string    `json:"result"`
			Fault      string    `json:"fault"`
			Effect     bool      `json:"effect"`
			IDs        []string  `json:"ids"`
			Tenant     string    `json:"tenant"`
			Order      string    `json:"order"`
			Item       string    `json:"item"`
			Step       string    `json:"step"`
			Generation string    `json:"generation"`
		} `json:"log"`
	}
	if err := get(ctx, simURL, "/ledger", &ledger); err != nil {
		return nil, err
	}
	c := &invariant.Cloud{Canaries: []string{canary}}
	for _, r := range ledger.Live {
		c.Live = append(c.Live, invariant.Resource(r))
	}
	for _, l := range ledger.Log {
		c.Log = append(c.Log, invariant.Call(l))
	}
	return c, nil
}

// Secrets reads the secrets that were issued for each item in the log.
func Secrets(ctx context.Context, simURL string, c *invariant.Cloud) error {
	read := map[string]bool{"": true}
	c.Secrets = nil
	for _, call := range c.Log {
		if call.Operation != "credentials" || read[call.Item] {
			continue
		}
		read[call.Item] = true
		var issued struct {
			Secrets []json.RawMessage `json:"secrets"`
		}
		if err := get(ctx, simURL, "/secrets/"+url.PathEscape(call.Item), &issued); err != nil {
			return err
		}
		for _, s := range issued.Secrets {
			c.Secrets = append(c.Secrets, invariant.Secret{Item: call.Item, Document: s})
		}
	}
	return nil
}

// get reads one answer. An error never holds the answer's body, which may be a secret.
func get(ctx context.Context, base, path string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(base, "/")+path, nil)
	if err != nil {
		return fmt.Errorf("read the sim's %s: %w", path, err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("read the sim's %s: %w", path, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("read the sim's %s: status %d", path, answer.StatusCode)
	}
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		return fmt.Errorf("read the sim's %s: %w", path, err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("read the sim's %s: the answer is not the expected JSON", path)
	}
	return nil
}
