// Package simfacts reads the simulated provider's share of invariant.Facts from its operator's
// interface: what lives there, every call ever made, and the secrets it handed out, which the checker
// searches for. It must not know the product's adapter for it: the format is read a second time here.
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

// canary begins every password, token and key that the sim hands out.
const canary = "CANARY-"

// Read takes the ledger. Take it before the database's snapshot: every intent is committed before
// its call, so what lives then must be in the snapshot.
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
			Part       string    `json:"step"`
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

// Secrets reads what was handed out for each item of the log.
func Secrets(ctx context.Context, simURL string, c *invariant.Cloud) error {
	asked := map[string]bool{"": true}
	c.Secrets = nil
	for _, call := range c.Log {
		if call.Operation != "credentials" || asked[call.Item] {
			continue
		}
		asked[call.Item] = true
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

// get reads one answer. Its body never stands in an error: it may be a secret.
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
		return fmt.Errorf("read the sim's %s: the answer is not the JSON expected", path)
	}
	return nil
}
