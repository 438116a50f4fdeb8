package sim_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/providertest"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/provider/sim/simtest"
)

func TestSimMeetsTheContractInEveryNamingMode(t *testing.T) {
	t.Parallel()
	for _, naming := range []provider.Naming{provider.NamingNone, provider.NamingUnique409, provider.NamingUpsert} {
		t.Run(naming.String(), func(t *testing.T) {
			t.Parallel()
			providertest.Run(t, func(t *testing.T) providertest.Fixture { return fixture(t, naming) })
		})
	}
}

// specs returns one orderable item per product.
func specs() []provider.Spec {
	of := func(product, plan, region, configuration string) provider.Spec {
		return provider.Spec{
			Product: product, Plan: plan, Region: region, Configuration: json.RawMessage(configuration),
			Labels: map[string]string{"label": product + "-1"},
		}
	}
	return []provider.Spec{
		of("vps", "business", "lj-1", `{"os_image":"debian-12"}`),
		of("kubernetes", "", "mb-1", `{"workers":3,"storage_gb":100,"storage_class":"fast"}`),
		of("database", "production", "lj-1", `{"engine":"postgresql-16","storage_gb":50,"high_availability":true}`),
		of("gpu", "", "mb-1", `{"gpu_type":"h100","nodes":2,"storage_gb":500,"framework":"jax"}`),
		of("private_cloud", "", "lj-1", `{"cluster_size":"small","nodes":3,"storage_tb":5}`),
		of("object_storage", "archive", "hetzner-fsn1", `{"capacity_tb":2,"replication":"single"}`),
	}
}

func fixture(t *testing.T, naming provider.Naming) providertest.Fixture {
	t.Helper()
	s := simtest.Start(t, simtest.Options{Modify: func(c *sim.ServerConfig) { c.Naming = naming }})
	other := specs()[0]
	other.Configuration = json.RawMessage(`{"os_image":"rocky-9"}`)
	return providertest.Fixture{
		URL:     s.URL,
		Open:    func(url string) provider.Provider { return s.ProviderAt(url) },
		Specs:   specs(),
		Other:   other,
		Advance: s.Advance,
		Live: func(k provider.Key) []provider.Ref {
			var refs []provider.Ref
			for _, r := range s.Live() {
				l := r.Labels
				if l["installation"] == k.Installation && l["item"] == k.Item && l["step"] == k.Step {
					refs = append(refs, provider.Ref(r.ID))
				}
			}
			return refs
		},
		Plant: func(name string, labels map[string]string) provider.Ref {
			return provider.Ref(s.Plant(sim.Foreign{Name: name, Kind: "port", Region: "lj-1", Labels: labels}).ID)
		},
		Exists: func(ref provider.Ref) bool {
			return slices.ContainsFunc(s.Live(), func(r sim.Resource) bool { return r.ID == string(ref) })
		},
		Refusals: refusals(s),
	}
}

func refusals(s *simtest.Sim) []providertest.Refusal {
	var all []providertest.Refusal
	add := func(operation, kind string, want fault.Class) {
		r := providertest.Refusal{Name: kind, Operation: operation, Want: want}
		r.Arrange = func() { s.Script(sim.Fault{Operation: operation, Kind: kind, Times: 1, AfterS: 7}) }
		if want == fault.RateLimited {
			r.After = 7 * time.Second
		}
		all = append(all, r)
	}
	for _, operation := range []string{sim.OpCreate, sim.OpObserve, sim.OpDelete, sim.OpCredentials} {
		unclear := fault.Retryable // a read without an answer has changed nothing
		if operation == sim.OpCreate || operation == sim.OpDelete {
			unclear = fault.Ambiguous
		}
		add(operation, sim.Refused, fault.Retryable)
		add(operation, sim.Locked, fault.Retryable)
		add(operation, sim.ErrorBefore, unclear)
		add(operation, sim.Unavailable, unclear)
		add(operation, sim.Timeout, unclear)
		add(operation, sim.LostReply, unclear)
		add(operation, sim.Malformed, unclear)
		add(operation, sim.RateLimited, fault.RateLimited)
		add(operation, sim.RateLimitedBare, fault.Retryable)
		add(operation, sim.Unauthorized, fault.Suspended)
		add(operation, sim.Forbidden, fault.Forbidden)
	}
	add(sim.OpCreate, sim.OverQuota, fault.Quota)
	add(sim.OpCreate, sim.Invalid, fault.Invalid)
	add(sim.OpCreate, sim.NoCapacity, fault.Capacity)
	add(sim.OpObserve, sim.NotFound, fault.NotFound)
	add(sim.OpDelete, sim.Protected, fault.Protected)
	add(sim.OpDelete, sim.NotFound, fault.None)
	add(sim.OpCredentials, sim.PendingSecret, fault.Pending)
	add(sim.OpCredentials, sim.NotFound, fault.NotFound)
	return all
}
