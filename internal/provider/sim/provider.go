package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/provider"
)

// Provider is the adapter: it implements provider.Provider by calls to a Server over HTTP. It keeps no state.
type Provider struct {
	base    string
	http    *http.Client
	naming  provider.Naming
	timeout time.Duration
	batcher *batcher // for reads by key
}

var _ provider.Provider = (*Provider)(nil)

// ProviderConfig is the configuration of an adapter.
type ProviderConfig struct {
	URL         string          // such as http://127.0.0.1:8091
	Naming      provider.Naming // must be the server's
	CallTimeout time.Duration   // of one request; 0: 10 s
}

// New returns an adapter. It sends nothing.
func New(cfg ProviderConfig) (*Provider, error) {
	if !validURL(cfg.URL) {
		return nil, fmt.Errorf("sim url must be of the form http://host:port")
	}
	if cfg.CallTimeout == 0 {
		cfg.CallTimeout = 10 * time.Second
	}
	transport := &http.Transport{ // without a proxy from the environment, because the sim is on this machine
		MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: cfg.CallTimeout,
	}
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	p := &Provider{
		base: strings.TrimRight(cfg.URL, "/"), naming: cfg.Naming, timeout: cfg.CallTimeout,
		http: &http.Client{Transport: transport, Timeout: cfg.CallTimeout, CheckRedirect: noRedirect},
	}
	p.batcher = &batcher{p: p}
	return p, nil
}

// Close closes idle connections.
func (p *Provider) Close() { p.http.CloseIdleConnections() }

// Capabilities returns those of the simulated account. A create without an answer takes effect within Settle,
// unless the after_s of a fault is longer.
func (p *Provider) Capabilities() provider.Capabilities {
	settle := 30 * time.Second
	if p.naming == provider.NamingNone {
		settle = 120 * time.Second // as long as at clouds without unique names, which this mode simulates
	}
	return provider.Capabilities{
		Products: products(), Regions: regions(), Naming: p.naming, Sim: true,
		CallTimeout: p.timeout, Settle: settle, PollEvery: 2 * time.Second,
		CreateTimeout: 2 * time.Hour, DeleteTimeout: 10 * time.Minute,
		Rate: provider.Rate{PerSecond: 1000, Burst: 2000},
	}
}

// Plan returns the steps of the spec's product.
func (p *Provider) Plan(s provider.Spec, k provider.Key) ([]provider.Step, error) {
	own := stepsOf(s.Product)
	if own == nil {
		return nil, provider.NewError(fault.Invalid, codeInvalid, "no such product: "+s.Product)
	}
	steps := make([]provider.Step, 0, len(own))
	for _, st := range own {
		steps = append(steps, provider.Step{Name: st.name, Key: k.WithStep(st.name), Spec: s, Naming: p.naming})
	}
	return steps, nil
}

// Validate compares the spec with the cloud's facts.
func (p *Provider) Validate(ctx context.Context, s provider.Spec) ([]provider.Violation, error) {
	var f facts
	if _, err := p.call(ctx, request{method: http.MethodGet, path: "/v1/facts"}, &f); err != nil {
		return nil, err
	}
	c, err := readConfiguration(s.Configuration)
	if err != nil {
		//nolint:nilerr // it is returned as a violation
		return []provider.Violation{
			{Pointer: "/configuration", Code: "unreadable", Message: "The configuration cannot be read."},
		}, nil
	}
	region, known := f.Regions[s.Region]
	if !known || !slices.Contains(region.Products, s.Product) {
		return []provider.Violation{{
			Pointer: "/region", Code: "region-not-offered",
			Message: "This product is not available in region " + s.Region + ".", Allowed: offering(f, s.Product),
		}}, nil
	}
	var faults []provider.Violation
	if s.Product == "vps" && c.OSImage != "" && !slices.Contains(region.Images, c.OSImage) {
		faults = append(faults, provider.Violation{
			Pointer: "/configuration/os_image", Code: "image-not-available",
			Message: "This image is not available in region " + s.Region + ".", Allowed: anys(region.Images),
		})
	}
	need, err := demandOf(s)
	if err != nil {
		return nil, provider.NewError(fault.Invalid, codeInvalid, "the configuration cannot be read")
	}
	if what := shortage(need, Amounts{}, region.Free); what != "" {
		faults = append(faults, provider.Violation{
			Pointer: "/region", Code: "no-capacity",
			Message: "Region " + s.Region + " has not enough capacity for this now (" + what + ").",
			Allowed: offering(f, s.Product),
		})
	}
	return faults, nil
}

// offering returns the regions that offer the product.
func offering(f facts, product string) []any {
	var names []string
	for name, r := range f.Regions {
		if slices.Contains(r.Products, product) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return anys(names)
}

func anys(list []string) []any {
	out := make([]any, 0, len(list))
	for _, s := range list {
		out = append(out, s)
	}
	return out
}

// Quota adds up the need of the specs per region and compares it with the quota.
func (p *Provider) Quota(ctx context.Context, specs []provider.Spec) (provider.QuotaReport, error) {
	var q quotas
	if _, err := p.call(ctx, request{method: http.MethodGet, path: "/v1/quota"}, &q); err != nil {
		return provider.QuotaReport{}, err
	}
	need := map[string]Amounts{}
	for _, s := range specs {
		d, err := demandOf(s)
		if err != nil {
			return provider.QuotaReport{}, provider.NewError(fault.Invalid, codeInvalid, "the configuration cannot be read")
		}
		if need[s.Region] == nil {
			need[s.Region] = Amounts{}
		}
		need[s.Region].add(d, 1)
	}
	var report provider.QuotaReport
	for _, region := range slices.Sorted(maps.Keys(need)) {
		for _, r := range capacityUnits() {
			if need[region][r[0]] == 0 {
				continue
			}
			report.Lines = append(report.Lines, provider.QuotaLine{
				Resource: r[0], Region: region, Unit: r[1],
				Used: q.Regions[region].Used[r[0]], Limit: q.Regions[region].Limit[r[0]], Need: need[region][r[0]],
			})
		}
	}
	return report, nil
}

// Create looks for the resource by key and, if there is none, sends one POST.
func (p *Provider) Create(ctx context.Context, s provider.Step, j provider.Journal) (provider.Ref, error) {
	found, err := p.byKey(ctx, s, OpLook)
	if err != nil {
		return "", err
	}
	for _, res := range found {
		if isExactly(res, s.Key) {
			return p.adopt(ctx, res, j)
		}
	}
	body, err := newCreateRequest(s)
	if err != nil {
		return "", provider.NewError(fault.Invalid, codeInvalid, "the spec cannot be sent")
	}
	var made Resource
	refused, err := p.call(ctx, request{method: http.MethodPost, path: "/v1/resources", body: body}, &made)
	if refused != nil && refused.Code == codeNameTaken && refused.Existing != nil {
		if isExactly(*refused.Existing, s.Key) {
			return p.adopt(ctx, *refused.Existing, j)
		}
		return "", provider.NewError(fault.Invalid, codeNameTaken, "the name belongs to a resource that is not ours")
	}
	if err != nil {
		return "", err
	}
	if made.ID == "" || made.Name != s.Key.Name() {
		return "", provider.NewError(fault.Ambiguous, "malformed", "the answer to a create names another resource")
	}
	return report(ctx, made.ID, j), nil
}

// adopt returns an existing resource of the step's key as the created one.
func (p *Provider) adopt(ctx context.Context, res Resource, j provider.Journal) (provider.Ref, error) {
	if res.Phase == provider.Deleting.String() {
		return "", provider.NewError(fault.Retryable, codeDeleting, "a resource of this key is being deleted")
	}
	return report(ctx, res.ID, j), nil
}

// report passes the id to the journal and returns it. It ignores an error of the journal, because the caller must
// get the id in any case.
func report(ctx context.Context, id string, j provider.Journal) provider.Ref {
	if j != nil {
		_ = j.Record(ctx, provider.Ref(id))
	}
	return provider.Ref(id)
}

// isExactly reports whether a resource has this key: name, labels and generation. A name alone proves nothing,
// because anybody may use it.
func isExactly(res Resource, k provider.Key) bool {
	return res.Name == k.Name() && sameOwner(res.Labels, k.Labels())
}

func newCreateRequest(s provider.Step) (createRequest, error) {
	hash, err := s.Spec.Hash()
	if err != nil {
		return createRequest{}, err
	}
	labels := maps.Clone(s.Key.Labels())
	maps.Copy(labels, map[string]string{
		labelInstallation: s.Key.Installation, labelTenant: s.Key.Tenant, labelOrder: s.Key.Order, labelItem: s.Key.Item,
		labelStep: s.Key.Step, labelGeneration: strconv.Itoa(s.Key.Generation), labelProduct: s.Spec.Product,
	})
	if own := s.Spec.Labels[labelLabel]; own != "" {
		labels[labelLabel] = own
	}
	q := createRequest{
		Name: s.Key.Name(), Kind: s.Name, Region: s.Spec.Region, Product: s.Spec.Product, Plan: s.Spec.Plan,
		Configuration: s.Spec.Configuration, SpecHash: hash, Labels: labels,
	}
	for _, need := range s.Needs {
		q.Needs = append(q.Needs, string(need))
	}
	return q, nil
}

// Observe reads a resource by id or by key.
func (p *Provider) Observe(ctx context.Context, s provider.Step, r provider.Ref) (provider.Observation, error) {
	if r == "" {
		found, err := p.byKey(ctx, s, OpObserve)
		if err != nil {
			return provider.Observation{}, err
		}
		return observed(found, s.Key), nil
	}
	var res Resource
	q := aboutStep(s)
	path := "/v1/resources/" + url.PathEscape(string(r))
	refused, err := p.call(ctx, request{method: http.MethodGet, path: path, query: q}, &res)
	if refused != nil && refused.Code == codeNotFound {
		return provider.Observation{Phase: provider.Absent}, nil
	}
	if err != nil {
		return provider.Observation{}, err
	}
	return observation(res), nil
}

// observed returns the observation of a read by key: the resources of the key's own generation first, then the
// others, each by age, which is the order of the list.
func observed(found []Resource, k provider.Key) provider.Observation {
	var own, stale []Resource
	for _, res := range found {
		if res.Labels[provider.LabelGeneration] == strconv.Itoa(k.Generation) {
			own = append(own, res)
			continue
		}
		stale = append(stale, res)
	}
	all := append(own, stale...)
	if len(all) == 0 {
		return provider.Observation{Phase: provider.Absent}
	}
	o := observation(all[0])
	if len(own) == 0 {
		o = staleOnly(stale)
	}
	o.Matches = nil
	for _, res := range all {
		o.Matches = append(o.Matches, provider.Ref(res.ID))
	}
	return o
}

func staleOnly(stale []Resource) provider.Observation {
	key, _ := keyOf(stale[0])
	if !slices.ContainsFunc(stale, func(r Resource) bool { return r.Phase != provider.Deleting.String() }) {
		return provider.Observation{
			Phase: provider.Deleting, Detail: "resources of another generation are being deleted", Key: key,
		}
	}
	const detail = "resources of another generation exist"
	return provider.Observation{
		Phase: provider.Failed, Detail: detail, Key: key,
		Fault: provider.NewError(fault.Retryable, provider.CodeStaleGeneration, detail),
	}
}

func observation(res Resource) provider.Observation {
	o := provider.Observation{
		Phase: phaseOf(res.Phase), Matches: []provider.Ref{provider.Ref(res.ID)},
		Progress: res.Progress, Detail: provider.Scrub(res.Detail), SpecHash: res.SpecHash,
	}
	o.Key, _ = keyOf(res)
	if o.Phase == provider.Failed {
		o.Fault = provider.NewError(classOf(res.FaultCode, reads), res.FaultCode, res.Detail)
	}
	return o
}

// keyOf returns the key in a resource's labels. It reports false if the labels are not ours.
func keyOf(res Resource) (provider.Key, bool) {
	k, ours := provider.KeyFromLabels(res.Labels)
	if !ours {
		return provider.Key{}, false
	}
	k.Tenant, k.Order = res.Labels[labelTenant], res.Labels[labelOrder]
	return k, true
}

func phaseOf(name string) provider.Phase {
	for _, p := range []provider.Phase{provider.Pending, provider.Ready, provider.Failed, provider.Deleting} {
		if p.String() == name {
			return p
		}
	}
	return provider.Pending // an unknown phase is not a result
}

// Delete deletes by id or by key.
func (p *Provider) Delete(ctx context.Context, s provider.Step, r provider.Ref) error {
	q := request{method: http.MethodDelete, path: "/v1/resources", query: aboutStep(s)}
	if r == "" {
		q.query["label"] = stepSelector(s.Key)
	} else {
		q.path += "/" + url.PathEscape(string(r))
	}
	refused, err := p.call(ctx, q, nil)
	if refused != nil && refused.Code == codeNotFound {
		return nil
	}
	return err
}

// ListOwned lists the resources page by page.
func (p *Provider) ListOwned(ctx context.Context, sc provider.Scope) iter.Seq2[provider.Owned, error] {
	return func(yield func(provider.Owned, error) bool) {
		if sc.Installation == "" {
			yield(provider.Owned{}, provider.NewError(fault.Invalid, codeInvalid, "name the installation"))
			return
		}
		q := url.Values{"operation": {OpList}, "label": {provider.LabelInstallation + "=" + sc.Installation}}
		for {
			var page resourcePage
			if _, err := p.call(ctx, request{method: http.MethodGet, path: "/v1/resources", query: q}, &page); err != nil {
				yield(provider.Owned{}, err)
				return
			}
			for _, res := range page.Resources {
				k, ours := keyOf(res)
				if !ours || k.Installation != sc.Installation {
					continue
				}
				if !yield(provider.Owned{
					Ref: provider.Ref(res.ID), Kind: res.Kind, Region: res.Region, Key: k,
					Phase: phaseOf(res.Phase), CreatedAt: res.CreatedAt,
				}, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			q.Set("after", page.Next)
		}
	}
}

// Credentials fetches the credentials. They are the same each time, unless the fault Once replaces them.
func (p *Provider) Credentials(ctx context.Context, refs []provider.Ref) (provider.Secret, error) {
	q := url.Values{}
	for _, r := range refs {
		q.Add("ref", string(r))
	}
	var doc json.RawMessage
	if _, err := p.call(ctx, request{method: http.MethodGet, path: "/v1/credentials", query: q}, &doc); err != nil {
		return provider.Secret{}, err
	}
	return provider.NewSecret(doc), nil
}

// byKey lists the resources of the item's step in all generations.
func (p *Provider) byKey(ctx context.Context, s provider.Step, operation string) ([]Resource, error) {
	q := aboutStep(s)
	q.Set("operation", operation)
	q["label"] = stepSelector(s.Key)
	if operation == OpObserve {
		page, err := p.batcher.read(ctx, q)
		return page.Resources, err
	}
	var page resourcePage
	if _, err := p.call(ctx, request{method: http.MethodGet, path: "/v1/resources", query: q}, &page); err != nil {
		return nil, err
	}
	return page.Resources, nil
}

func stepSelector(k provider.Key) []string {
	labels := k.Labels()
	delete(labels, provider.LabelGeneration)
	pairs := make([]string, 0, len(labels))
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		pairs = append(pairs, name+"="+labels[name])
	}
	return pairs
}

// aboutStep describes the step of a read or delete for the sim's log and faults.
func aboutStep(s provider.Step) url.Values {
	return url.Values{
		"operation": {OpObserve}, "name": {s.Key.Name()}, labelTenant: {s.Key.Tenant}, labelOrder: {s.Key.Order},
		labelItem: {s.Key.Item}, labelStep: {s.Key.Step}, labelGeneration: {strconv.Itoa(s.Key.Generation)},
		labelProduct: {s.Spec.Product}, "item_label": {s.Spec.Labels[labelLabel]},
	}
}
