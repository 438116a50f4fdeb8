package catalog

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/platforma-cloud/orders/internal/fault"
)

// Selection is what a customer chose for one item.
type Selection struct {
	Product       string
	Plan          string // "" for a product without plans
	Region        string
	Cycle         Cycle
	Label         string          // the customer's own name for the item; may be empty
	Configuration json.RawMessage // a JSON object; empty counts as {}
}

// MaxLabel is the length of the longest label in characters. A label becomes part of host names, and a DNS label
// has at most 63 octets.
const MaxLabel = 63

// maxFaults is how many faults of a configuration are reported, the first ones by pointer. Nobody corrects more
// at once, and a small request must not cause an answer of megabytes.
const maxFaults = 100

// checked holds a selection's faults or, if there are none, its configuration with the defaults filled in.
type checked struct {
	faults        []fault.Violation
	configuration any
	canonical     json.RawMessage
}

// Check lists every fault of a selection at once (D13). If there are none, Price accepts it. at is the pointer of
// the item in the request, such as "/items/0", and the prefix of every fault's pointer. Members are named as in
// the API (billing_cycle). The order of the faults is always the same.
func (c *Catalog) Check(sel Selection, at string) []fault.Violation {
	o, ok := c.products[sel.Product]
	if !ok {
		return append([]fault.Violation{c.productFault(sel, at)}, labelFaults(sel.Label, at)...)
	}
	return o.check(sel, at).faults
}

// productFault returns the fault of an unknown product. Without a product, only the label can be checked as well.
func (c *Catalog) productFault(sel Selection, at string) fault.Violation {
	f := choiceFault(at+"/product", sel.Product, "Product", CodeProductUnknown, c.order)
	return *f
}

func (o *offer) check(sel Selection, at string) checked {
	var faults []fault.Violation
	add := func(f *fault.Violation) {
		if f != nil {
			faults = append(faults, *f)
		}
	}
	add(o.planFault(sel.Plan, at))
	add(choiceFault(at+"/region", sel.Region, "Region", CodeRegionNotOffered, o.Regions))
	cycles := make([]string, 0, len(o.Cycles))
	for _, c := range o.Cycles {
		cycles = append(cycles, string(c))
	}
	add(choiceFault(at+"/billing_cycle", string(sel.Cycle), "Billing cycle", CodeCycleNotOffered, cycles))
	faults = append(faults, labelFaults(sel.Label, at)...)
	result := o.checkConfiguration(sel.Configuration, at+"/configuration")
	result.faults = append(faults, result.faults...)
	return result
}

// planFault returns a fault if the plan is not one of the product's plans, or if a plan is named for a product
// without plans.
func (o *offer) planFault(plan, at string) *fault.Violation {
	if len(o.Plans) == 0 {
		if plan == "" {
			return nil
		}
		return &fault.Violation{
			Pointer: at + "/plan", Code: CodePlanNotOffered, Message: "This product has no plans: leave the plan out.",
		}
	}
	ids := make([]string, 0, len(o.Plans))
	for _, p := range o.Plans {
		ids = append(ids, p.ID)
	}
	return choiceFault(at+"/plan", plan, "Plan", CodePlanNotOffered, ids)
}

// choiceFault returns the fault of a value that is not in the list of allowed ones, or nil.
func choiceFault(at, value, label, code string, allowed []string) *fault.Violation {
	if value == "" {
		return &fault.Violation{Pointer: at, Code: CodeRequired, Message: label + " is missing.", Allowed: anySlice(allowed)}
	}
	if slices.Contains(allowed, value) {
		return nil
	}
	message := fmt.Sprintf("%s must be one of: %s.", label, strings.Join(allowed, ", "))
	return &fault.Violation{Pointer: at, Code: code, Message: message, Allowed: anySlice(allowed)}
}

// labelFaults returns the faults of a label that has more than MaxLabel characters or an invisible one. Control
// and direction characters can make a label look like another one in a list, a mail or a log.
func labelFaults(label, at string) []fault.Violation {
	var faults []fault.Violation
	if utf8.RuneCountInString(label) > MaxLabel {
		faults = append(faults, fault.Violation{
			Pointer: at + "/label", Code: CodeTooLong, Message: fmt.Sprintf("Label must have at most %d characters.", MaxLabel),
		})
	}
	if !utf8.ValidString(label) || strings.ContainsFunc(label, invisible) {
		faults = append(faults, fault.Violation{
			Pointer: at + "/label", Code: CodeForbiddenCharacters,
			Message: "Label must not contain control or text direction characters.",
		})
	}
	return faults
}

// invisible reports whether a character is a control, format, line separator or paragraph separator character.
// The two joiners are allowed, because scripts and emoji need them.
func invisible(r rune) bool {
	const zeroWidthNonJoiner, zeroWidthJoiner = '\u200c', '\u200d'
	if r == zeroWidthNonJoiner || r == zeroWidthJoiner {
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// checkConfiguration reads a configuration, fills in the schema's defaults and lists its faults.
func (o *offer) checkConfiguration(raw json.RawMessage, at string) checked {
	if len(raw) == 0 {
		raw = json.RawMessage("{}")
	}
	document, err := decodeStrict(raw)
	if err != nil {
		return checked{faults: []fault.Violation{malformed(err, at)}}
	}
	var fractions [][]string
	document = replaceFractions(document, nil, &fractions)
	if err := o.fields.fill(document); err != nil {
		return checked{faults: []fault.Violation{malformed(err, at)}}
	}
	findings := withoutEntriesOfLongLists(withFractions(o.compiled.findings(document), fractions))
	faults := make([]fault.Violation, 0, len(findings))
	faulty := map[string]bool{}
	for _, f := range findings {
		v := o.violation(f, at)
		faults = append(faults, v)
		faulty[v.Pointer] = true
	}
	for _, r := range o.rules {
		if faulty[at+r.Member] || faulty[at+r.Other] || faulty[at+r.When] {
			continue
		}
		if v, broken := r.broken(o.fields, document, at); broken {
			faults = append(faults, v)
		}
	}
	slices.SortStableFunc(faults, func(a, b fault.Violation) int {
		return cmp.Or(strings.Compare(a.Pointer, b.Pointer), strings.Compare(a.Code, b.Code))
	})
	if len(faults) > 0 {
		return checked{faults: faults[:min(len(faults), maxFaults)]}
	}
	canonical, err := encode(document)
	if err != nil {
		return checked{faults: []fault.Violation{malformed(err, at)}}
	}
	return checked{configuration: document, canonical: canonical}
}

// malformed returns the only fault of a configuration that cannot be read. The errors of decodeStrict hold
// nothing of the input.
func malformed(err error, at string) fault.Violation {
	v := fault.Violation{
		Pointer: at, Code: CodeMalformed, Message: "The configuration cannot be read: " + err.Error() + ".",
	}
	if errors.Is(err, errDuplicate) {
		v.Message = "The configuration cannot be read: " + errDuplicate.Error() +
			", and it is not clear which of the two is meant."
	}
	return v
}

// integer matches how an integer must be written. JSON Schema accepts 1.0 and 1e2 as integers too, but the API
// does not (strict JSON): with an exponent, a short text could be an enormous number.
var integer = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)

// replaceFractions replaces every number that is not written as an integer by 0 and records its place.
func replaceFractions(v any, at []string, fractions *[][]string) any {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			v[key] = replaceFractions(v[key], append(slices.Clip(at), key), fractions)
		}
	case []any:
		for i := range v {
			v[i] = replaceFractions(v[i], append(slices.Clip(at), strconv.Itoa(i)), fractions)
		}
	case json.Number:
		if !integer.MatchString(v.String()) {
			*fractions = append(*fractions, at)
			return json.Number("0")
		}
	}
	return v
}

// withFractions adds the faults of fractions and drops what the schema found about the zeros that replaced them.
// A fraction in a place where no number belongs keeps the schema's finding. The sets keep the cost of a long list
// linear.
func withFractions(findings []finding, fractions [][]string) []finding {
	misplaced, fraction := map[string]bool{}, map[string]bool{}
	for _, f := range findings {
		if f.code == CodeWrongType || f.code == CodeUnknownMember {
			misplaced[pointer(f.at)] = true
		}
	}
	kept := make([]finding, 0, len(findings))
	for _, at := range fractions {
		if !within(at, misplaced) {
			fraction[pointer(at)] = true
			kept = append(kept, finding{at: at, code: CodeNotAnInteger})
		}
	}
	for _, f := range findings {
		if !fraction[pointer(f.at)] {
			kept = append(kept, f)
		}
	}
	return kept
}

// within reports whether a place is in a set or lies inside a place of the set.
func within(at []string, places map[string]bool) bool {
	for i := range len(at) + 1 {
		if places[pointer(at[:i])] {
			return true
		}
	}
	return false
}

// withoutEntriesOfLongLists drops the findings inside a list that is too long.
func withoutEntriesOfLongLists(findings []finding) []finding {
	long := map[string]bool{}
	for _, f := range findings {
		if f.code == CodeTooMany {
			long[pointer(f.at)] = true
		}
	}
	return slices.DeleteFunc(findings, func(f finding) bool {
		return len(f.at) > 0 && within(f.at[:len(f.at)-1], long)
	})
}

// memberNames lists the members of an object in the order that a form shows them.
func (n *node) memberNames() []string {
	return slices.SortedFunc(maps.Keys(n.Properties), func(a, b string) int {
		return cmp.Or(cmp.Compare(n.Properties[a].UI.Order, n.Properties[b].UI.Order), strings.Compare(a, b))
	})
}
