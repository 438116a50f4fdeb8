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

func link() auditlog.Entry {
	return auditlog.Entry{
		Tenant: acme, N: 1, Order: id.MustParse[order.Order]("33333333-3333-7333-8333-333333333333"), Seq: 2,
		Event: id.MustParse[order.Event]("44444444-4444-7444-8444-444444444444"), Type: "order.created",
		At: time.UnixMicro(1).UTC(), SeenAt: time.UnixMicro(258).UTC(), DataSHA256: sha256.Sum256([]byte("{}")),
		Topic: id.MustParse[auditlog.Topic]("55555555-5555-4555-8555-555555555555"), Partition: 3, Offset: 4,
	}
}

// The bytes are written out by hand from docs/audit.md: they never change, or every chain breaks.
func TestALinksHashIsOverTheseBytes(t *testing.T) {
	t.Parallel()
	text := strings.Join([]string{
		strings.Repeat("00", 32),                                                        // the hash before the first link
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
		"00000004", "00000003", // part
		"00000008", "0000000000000004", // off
	}, "")
	raw, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	if want, got := auditlog.Hash(sha256.Sum256(raw)), link().Sum(); got != want {
		t.Errorf("Sum() = %s, want %s", got, want)
	}
}

func TestALinkReadBackFromJSONIsTheSame(t *testing.T) {
	t.Parallel()
	entry := link().After(auditlog.Head{Tenant: acme})
	raw, err := json.Marshal(entry)
	if err != nil {
		t.Fatal(err)
	}
	var back auditlog.Entry
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(entry, back); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
	if err := json.Unmarshal([]byte(`{"hash":"abc"}`), &back); err == nil {
		t.Error("a hash of three digits was read")
	}
}

// chains are two tenants' links, one chain behind the other as in an export.
func chains() (all []auditlog.Entry) {
	for _, of := range []tenant.ID{acme, beta} {
		head := auditlog.Head{Tenant: of}
		for seq := 1; seq <= 4; seq++ {
			entry := link()
			entry.Seq = seq
			entry = entry.After(head)
			head = auditlog.Head{Tenant: of, N: entry.N, Hash: entry.Hash}
			all = append(all, entry)
		}
	}
	return all
}

func verify(links []auditlog.Entry, earlier ...auditlog.Head) []string {
	v := auditlog.NewVerifier(earlier...)
	for _, entry := range links {
		v.Add(entry)
	}
	var said []string
	for _, c := range v.Chains() {
		name := map[tenant.ID]string{acme: "acme", beta: "beta"}[c.Head.Tenant]
		if c.Broken == nil {
			said = append(said, name+" whole")
			continue
		}
		what, _, _ := strings.Cut(c.Broken.String(), " (")
		said = append(said, name+" "+strings.Split(what, ":")[0])
	}
	return said
}

func TestAFileWithSeveralChainsSaysOfEachWhereItBreaks(t *testing.T) {
	t.Parallel()
	good := chains()
	for name, c := range map[string]struct {
		links   []auditlog.Entry
		earlier []auditlog.Head
		want    []string
	}{
		"whole":               {links: chains(), want: []string{"acme whole", "beta whole"}},
		"nothing":             {},
		"a line is taken out": {links: append(chains()[:5], chains()[6:]...), want: []string{"acme whole", "beta n 2"}},
		"a line stands twice": {links: append(chains()[:2], chains()[1:]...), want: []string{"acme n 2", "beta whole"}},
		"the chains are mixed": {
			links: append(chains()[4:], chains()[:4]...),
			want:  []string{"beta whole", "acme whole"},
		},
		"a chain goes on later": {
			links: append(append(chains()[:2], chains()[4:]...), chains()[2:4]...),
			want:  []string{"acme whole", "beta whole", "acme n 1"},
		},
		"a head that is there": {
			links: chains(), earlier: []auditlog.Head{{Tenant: beta, Hash: good[6].Hash}},
			want: []string{"acme whole", "beta whole"},
		},
		"a head of another tenant": {
			links: chains(), earlier: []auditlog.Head{{Tenant: acme, Hash: good[6].Hash}},
			want: []string{"acme n 4", "beta whole"},
		},
		"a head of no chain": {
			links: chains()[4:], earlier: []auditlog.Head{{Tenant: acme, Hash: good[1].Hash}},
			want: []string{"beta whole", "acme n 0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, verify(c.links, c.earlier...)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
