package embedded

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"mime"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Message is one mail as the list shows it. From and To are those of the envelope. Subject and MessageID
// are headers of the message, and empty if it has none.
type Message struct {
	ID         int       `json:"id"` // 1, 2, … by arrival
	From       string    `json:"from"`
	To         []string  `json:"to"`
	Subject    string    `json:"subject"`
	MessageID  string    `json:"message_id"`
	ReceivedAt time.Time `json:"received_at"`
	Size       int       `json:"size"` // bytes
}

// mailStore keeps messages in a directory: <n>.eml is the message as it was sent, and <n>.json its
// envelope. A message exists if its .eml exists, so that file is written last.
type mailStore struct {
	dir string
	now func() time.Time

	mu       sync.Mutex
	messages []Message     // guarded by mu; ordered by ID
	arrived  chan struct{} // guarded by mu; closed and replaced by each arrival
}

func openMailStore(dir string, now func() time.Time) (*mailStore, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &mailStore{dir: dir, now: now, arrived: make(chan struct{})}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".eml")
		if !ok {
			continue
		}
		id, err := strconv.Atoi(name)
		if err != nil {
			continue // not a file of this store
		}
		m, err := s.read(id)
		if err != nil {
			return nil, fmt.Errorf("read message %d: %w", id, err)
		}
		s.messages = append(s.messages, m)
	}
	slices.SortFunc(s.messages, func(a, b Message) int { return a.ID - b.ID })
	return s, nil
}

func (s *mailStore) path(id int, suffix string) string {
	return filepath.Join(s.dir, fmt.Sprintf("%06d%s", id, suffix))
}

func (s *mailStore) read(id int) (Message, error) {
	b, err := os.ReadFile(s.path(id, ".json"))
	if err != nil {
		return Message{}, err
	}
	var m Message
	if err := json.Unmarshal(b, &m); err != nil {
		return Message{}, err
	}
	return m, nil
}

// add stores a message. If it returns nil, the message survives a power failure.
func (s *mailStore) add(from string, to []string, raw []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := Message{ID: 1, From: from, To: slices.Clone(to), ReceivedAt: s.now().UTC(), Size: len(raw)}
	if n := len(s.messages); n > 0 {
		m.ID = s.messages[n-1].ID + 1
	}
	if parsed, err := mail.ReadMessage(bytes.NewReader(raw)); err == nil {
		m.Subject = decodeHeader(parsed.Header.Get("Subject"))
		m.MessageID = parsed.Header.Get("Message-ID")
	}
	envelope, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := writeDurably(s.path(m.ID, ".json"), envelope, 0o600); err != nil {
		return err
	}
	if err := writeDurably(s.path(m.ID, ".eml"), raw, 0o600); err != nil {
		return err
	}
	s.messages = append(s.messages, m)
	close(s.arrived)
	s.arrived = make(chan struct{})
	return nil
}

// list returns all messages in the order of their ids.
func (s *mailStore) list() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// get returns a message, and false if there is none with this id.
func (s *mailStore) get(id int) (Message, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := slices.BinarySearchFunc(s.messages, id, func(m Message, id int) int { return m.ID - id })
	if !ok {
		return Message{}, false
	}
	return s.messages[at], true
}

// raw returns a message as it was sent.
func (s *mailStore) raw(id int) ([]byte, error) {
	if _, ok := s.get(id); !ok {
		return nil, fmt.Errorf("message %d: %w", id, fs.ErrNotExist)
	}
	return os.ReadFile(s.path(id, ".eml"))
}

// wait returns when there are at least n messages.
func (s *mailStore) wait(ctx context.Context, n int) ([]Message, error) {
	for {
		s.mu.Lock()
		have, arrived := slices.Clone(s.messages), s.arrived
		s.mu.Unlock()
		if len(have) >= n {
			return have, nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return have, fmt.Errorf("wait for %d messages, there are %d: %w", n, len(have), context.Cause(ctx))
		}
	}
}

// decodeHeader decodes encoded words such as =?utf-8?…?=. It returns a header that it cannot decode as it
// is.
func decodeHeader(h string) string {
	text, err := new(mime.WordDecoder).DecodeHeader(h)
	if err != nil {
		return h
	}
	return text
}
