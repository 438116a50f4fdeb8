package sim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
)

// ErrLedgerInUse is returned when another sim holds the ledger.
var ErrLedgerInUse = errors.New("another sim holds this ledger")

// ledger is the append-only file: one JSON record a line. Its lock is the kernel's, so it ends with
// the process however that ends.
type ledger struct {
	path string
	file *os.File
	sync func(*os.File) error

	size int64 // owned by the server's mutex: where the next line begins
	dead error // likewise: set when a torn line could not be taken back; nothing may follow it

	syncing sync.Mutex
	synced  int64 // owned by syncing: everything before it is on disk
}

// openLedger locks and replays the file, and cuts off a torn last line: its call was never answered.
func openLedger(path string, sync func(*os.File) error, replay func(record)) (*ledger, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	l := &ledger{path: path, file: file, sync: sync}
	if err := l.begin(replay); err != nil {
		_ = file.Close() // the first error tells more
		return nil, err
	}
	return l, nil
}

func (l *ledger) begin(replay func(record)) error {
	err := syscall.Flock(int(l.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("lock ledger %s: %w", l.path, ErrLedgerInUse)
	}
	if err != nil {
		return fmt.Errorf("lock ledger %s: %w", l.path, err)
	}
	end, err := readRecords(l.file, func(r record) error { replay(r); return nil })
	if err != nil {
		return fmt.Errorf("replay ledger %s: %w", l.path, err)
	}
	if err := l.file.Truncate(end); err != nil {
		return fmt.Errorf("cut the torn end of ledger %s: %w", l.path, err)
	}
	if _, err := l.file.Seek(end, io.SeekStart); err != nil {
		return fmt.Errorf("seek ledger %s: %w", l.path, err)
	}
	l.size, l.synced = end, end
	return nil
}

// readRecords calls each with every whole record and returns where the last one ends. A line without
// an end is torn and ignored; one that has an end and cannot be read is an error.
func readRecords(from io.Reader, each func(record) error) (int64, error) {
	r := bufio.NewReaderSize(from, 1<<16)
	var end int64
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return end, nil
		}
		if err != nil {
			return end, err
		}
		var rec record
		if err := json.Unmarshal(bytes.TrimSpace(line), &rec); err != nil {
			return end, fmt.Errorf("line %d: %w", n, err)
		}
		if err := each(rec); err != nil {
			return end, err
		}
		end += int64(len(line))
	}
}

// append writes one line; the caller holds the server's mutex. The line is not yet on disk: see wait.
func (l *ledger) append(r record) (int64, error) {
	if l.dead != nil {
		return 0, l.dead
	}
	line, err := json.Marshal(r)
	if err != nil {
		return 0, fmt.Errorf("write ledger: %w", err)
	}
	line = append(line, '\n')
	if _, err := l.file.WriteAt(line, l.size); err != nil {
		if cut := l.file.Truncate(l.size); cut != nil {
			l.dead = fmt.Errorf("ledger %s ends in a torn line: %w", l.path, cut)
		}
		return 0, fmt.Errorf("write ledger: %w", err)
	}
	l.size += int64(len(line))
	return l.size, nil
}

// wait returns when everything before end is on disk. Callers that come while one syncs share the
// next sync.
func (l *ledger) wait(end int64, size func() int64) error {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	if l.synced >= end {
		return nil
	}
	upTo := size()
	if err := l.sync(l.file); err != nil {
		return fmt.Errorf("sync ledger: %w", err)
	}
	l.synced = upTo
	return nil
}

// calls streams the log of everything before end.
func (l *ledger) calls(end int64, each func(Call) error) error {
	_, err := readRecords(io.NewSectionReader(l.file, 0, end), func(r record) error {
		if r.Call == nil {
			return nil
		}
		return each(*r.Call)
	})
	return err
}

func (l *ledger) close() error { return l.file.Close() }
