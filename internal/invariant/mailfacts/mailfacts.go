// Package mailfacts reads the mailbox's part of invariant.Facts from the inbox for development and tests: every message
// as it was sent. It must not know how the product makes its mails.
package mailfacts

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/platforma-cloud/orders/internal/invariant"
)

// Read reads all messages. It must be called after the database's snapshot is taken: a mail is accepted before its
// delivery is recorded as accepted.
func Read(ctx context.Context, inboxURL string) (*invariant.Mailbox, error) {
	list, err := get(ctx, inboxURL, "/api/messages")
	if err != nil {
		return nil, err
	}
	var messages []struct {
		ID        int    `json:"id"`
		MessageID string `json:"message_id"`
	}
	if err := json.Unmarshal(list, &messages); err != nil {
		return nil, fmt.Errorf("read the inbox's list: %w", err)
	}
	box := &invariant.Mailbox{}
	for _, m := range messages {
		raw, err := get(ctx, inboxURL, "/api/messages/"+strconv.Itoa(m.ID)+"/raw")
		if err != nil {
			return nil, err
		}
		box.Mails = append(box.Mails, invariant.Mail{MessageID: m.MessageID, Raw: raw})
	}
	return box, nil
}

func get(ctx context.Context, base, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(base, "/")+path, nil)
	if err != nil {
		return nil, fmt.Errorf("read the inbox's %s: %w", path, err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, fmt.Errorf("read the inbox's %s: %w", path, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("read the inbox's %s: status %d", path, answer.StatusCode)
	}
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("read the inbox's %s: %w", path, err)
	}
	return raw, nil
}
