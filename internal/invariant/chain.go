package invariant

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
)

// checkChain checks the audit log's chain of each tenant by the published format (docs/audit.md): the entries are
// 1, 2, 3 and so on, each with the hash of the one before it and a hash over its own fields.
func (l *inspection) checkChain() {
	rows := slices.Clone(l.AuditLog)
	slices.SortStableFunc(rows, func(a, b AuditEntry) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.N, b.N))
	})
	n, before := int64(0), []byte(nil)
	for i := range rows {
		w := &rows[i]
		if i == 0 || w.Tenant != rows[i-1].Tenant {
			n, before = 0, make([]byte, sha256.Size)
		}
		l.seen++
		switch {
		case w.N != n+1:
			l.broken(w.Order, "entry %d of the audit log follows entry %d", w.N, n)
		case !bytes.Equal(w.Before, before):
			l.broken(w.Order, "entry %d of the audit log does not continue entry %d", w.N, n)
		case !bytes.Equal(w.Chain, w.sum()):
			l.broken(w.Order, "entry %d of the audit log does not match its hash", w.N)
		}
		n, before = w.N, w.Chain
	}
}

// sum returns the hash that the entry must have.
func (w *AuditEntry) sum() []byte {
	number := func(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }
	h := sha256.New()
	h.Write(w.Before)
	for _, b := range [][]byte{
		uuidBytes(w.Tenant), number(w.N), uuidBytes(w.Order), number(int64(w.Seq))[4:], uuidBytes(w.Event), []byte(w.Type),
		number(w.At.UnixMicro()), number(w.SeenAt.UnixMicro()), w.Hash, uuidBytes(w.Topic), number(int64(w.Partition))[4:],
		number(w.Offset),
	} {
		h.Write(number(int64(len(b)))[4:])
		h.Write(b)
	}
	return h.Sum(nil)
}

// uuidBytes returns a UUID's 16 bytes. A string that is not a UUID, such as a name in a test, is returned as it is.
func uuidBytes(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil {
		return []byte(s)
	}
	return b
}
