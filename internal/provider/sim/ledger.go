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

// ledger is the append-only file with one JSON record per line. Its lock is the kernel's, so it ends with the
// process, even after a crash.
type ledger struct {
	path string
	file *os.File
	sync func(*os.File) error

	size   int64 // guarded by the server's mutex: where the next line begins
	broken error // guarded likewise: set if a torn line could not be removed; nothing may be appended to it

	syncing sync.Mutex
	synced  int64 // guarded by syncing: everything before it is on disk
}

// openLedger locks and replays the file. It cuts off a torn last line, whose call was never answered.
func openLedger(path string, sync func(*os.File) error, replay func(record)) (*ledger, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	l := &ledger{path: path, file: file, sync: sync}
	if err := l.begin(replay); err != nil {
		_ = file.Close() // the first error says more
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

// readRecords calls each for every complete record and returns where the last one ends. It ignores a line without
// an end, which is torn. A line with an end that cannot be decoded is an error.
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

// append writes one line. The caller holds the server's mutex. Wait says when the line is on disk.
func (l *ledger) append(r record) (int64, error) {
	if l.broken != nil {
		return 0, l.broken
	}
	line, err := json.Marshal(r)
	if err != nil {
		return 0, fmt.Errorf("write ledger: %w", err)
	}
	line = append(line, '\n')
	if _, err := l.file.WriteAt(line, l.size); err != nil {
		if truncErr := l.file.Truncate(l.size); truncErr != nil {
			l.broken = fmt.Errorf("ledger %s ends in a torn line: %w", l.path, truncErr)
		}
		return 0, fmt.Errorf("write ledger: %w", err)
	}
	l.size += int64(len(line))
	return l.size, nil
}

// wait returns when everything before end is on disk. Callers that wait during a sync share the next one.
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

// calls calls each for every call before end.
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
