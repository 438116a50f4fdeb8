package auditlog_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/auditlog"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

var (
	acme = id.MustParse[tenant.Tenant]("11111111-1111-7111-8111-111111111111")
	beta = id.MustParse[tenant.Tenant]("22222222-2222-7222-8222-222222222222")
)

func sampleEntry() auditlog.Entry {
	return auditlog.Entry{
		Tenant: acme, N: 1, Order: id.MustParse[order.Order]("33333333-3333-7333-8333-333333333333"), Seq: 2,
		Event: id.MustParse[order.Event]("44444444-4444-7444-8444-444444444444"), Type: "order.created",
		At: time.UnixMicro(1).UTC(), SeenAt: time.UnixMicro(258).UTC(), DataSHA256: sha256.Sum256([]byte("{}")),
		Topic: id.MustParse[auditlog.Topic]("55555555-5555-4555-8555-555555555555"), Partition: 3, Offset: 4,
	}
}

// The bytes are written out by hand from docs/audit.md: they never change, or every chain breaks.
func TestAnEntrysHashIsOverTheseBytes(t *testing.T) {
	t.Parallel()
	text := strings.Join([]string{
		strings.Repeat("00", 32),                                                        // prev_hash of the first entry
		"00000010", strings.Repeat("11", 6) + "7111" + "8111" + strings.Repeat("11", 6), // tenant_id
		"00000008", "0000000000000001", // n
		"00000010", strings.Repeat("33", 6) + "7333" + "8333" + strings.Repeat("33", 6), // order_id
		"00000004", "00000002", // seq
		"00000010", strings.Repeat("44", 6) + "7444" + "8444" + strings.Repeat("44", 6), // event_id
		"0000000d", hex.EncodeToString([]byte("order.created")), // type
		"00000008", "0000000000000001", // at
		"00000008", "0000000000000102", // seen_at
		"00000020", "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", // data_sha256, of {}
		"00000010", strings.Repeat("55", 6) + "4555" + "8555" + strings.Repeat("55", 6), // topic_id
		"00000004", "00000003", // partition
		"00000008", "0000000000000004", // off
	}, "")
	raw, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	if want, got := auditlog.Hash(sha256.Sum256(raw)), sampleEntry().Sum(); got != want {
		t.Errorf("Sum() = %s, want %s", got, want)
	}
}

func TestAnEntryReadBackFromJSONIsTheSame(t *testing.T) {
	t.Parallel()
	entry := sampleEntry().After(auditlog.Head{Tenant: acme})
	raw, err := json.Marshal(entry)
	if err != nil {
		t.Fatal(err)
	}
	var decoded auditlog.Entry
	if err := json.Unmarshal(raw, &decoded); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(entry, decoded); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
	if err := json.Unmarshal([]byte(`{"hash":"abc"}`), &decoded); err == nil {
		t.Error("a hash of three digits was read")
	}
}

// twoChains are four entries each of two tenants, one chain after the other as in an export.
func twoChains() (entries []auditlog.Entry) {
	for _, owner := range []tenant.ID{acme, beta} {
		head := auditlog.Head{Tenant: owner}
		for seq := 1; seq <= 4; seq++ {
			entry := sampleEntry()
			entry.Seq = seq
			entry = entry.After(head)
			head = auditlog.Head{Tenant: owner, N: entry.N, Hash: entry.Hash}
			entries = append(entries, entry)
		}
	}
	return entries
}

// verify returns a line for each chain: "acme whole", or where it breaks, such as "acme n 2".
func verify(entries []auditlog.Entry, earlier ...auditlog.Head) []string {
	v := auditlog.NewVerifier(earlier...)
	for _, entry := range entries {
		v.Add(entry)
	}
	var results []string
	for _, c := range v.Chains() {
		name := map[tenant.ID]string{acme: "acme", beta: "beta"}[c.Head.Tenant]
		if c.Broken == nil {
			results = append(results, name+" whole")
			continue
		}
		what, _, _ := strings.Cut(c.Broken.String(), " (")
		results = append(results, name+" "+strings.Split(what, ":")[0])
	}
	return results
}

func TestTheVerifierReportsWhereEachChainOfAFileBreaks(t *testing.T) {
	t.Parallel()
	whole := twoChains()
	for name, c := range map[string]struct {
		entries []auditlog.Entry
		earlier []auditlog.Head
		want    []string
	}{
		"whole":      {entries: twoChains(), want: []string{"acme whole", "beta whole"}},
		"no entries": {},
		"a line is missing": {
			entries: append(twoChains()[:5], twoChains()[6:]...),
			want:    []string{"acme whole", "beta n 2"},
		},
		"a line is repeated": {
			entries: append(twoChains()[:2], twoChains()[1:]...),
			want:    []string{"acme n 2", "beta whole"},
		},
		"the chains are swapped": {
			entries: append(twoChains()[4:], twoChains()[:4]...),
			want:    []string{"beta whole", "acme whole"},
		},
		"a chain continues after another": {
			entries: append(append(twoChains()[:2], twoChains()[4:]...), twoChains()[2:4]...),
			want:    []string{"acme whole", "beta whole", "acme n 1"},
		},
		"an earlier head is found": {
			entries: twoChains(), earlier: []auditlog.Head{{Tenant: beta, Hash: whole[6].Hash}},
			want: []string{"acme whole", "beta whole"},
		},
		"an earlier head is another tenant's": {
			entries: twoChains(), earlier: []auditlog.Head{{Tenant: acme, Hash: whole[6].Hash}},
			want: []string{"acme n 4", "beta whole"},
		},
		"an earlier head's chain is gone": {
			entries: twoChains()[4:], earlier: []auditlog.Head{{Tenant: acme, Hash: whole[1].Hash}},
			want: []string{"beta whole", "acme n 0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, verify(c.entries, c.earlier...)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
