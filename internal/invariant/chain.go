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

// chained checks the witness's chain of each tenant, by the published format (docs/audit.md): rows 1, 2, 3
// and so on, each with the hash of the one before it and a hash of its own over all it says.
func (l *look) chained() {
	rows := slices.Clone(l.Audit)
	slices.SortStableFunc(rows, func(a, b Audit) int {
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
			l.broken(w.Order, "the witness's row %d stands behind row %d", w.N, n)
		case !bytes.Equal(w.Before, before):
			l.broken(w.Order, "the witness's row %d does not continue row %d", w.N, n)
		case !bytes.Equal(w.Chain, w.sum()):
			l.broken(w.Order, "the witness's row %d is not what its hash says", w.N)
		}
		n, before = w.N, w.Chain
	}
}

// sum is the hash that the row must have.
func (w *Audit) sum() []byte {
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

// uuidBytes are a UUID's 16 bytes. What is none, as a name in a test, stands for itself.
func uuidBytes(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil {
		return []byte(s)
	}
	return b
}
