package catalog

import (
	"encoding/json"
	"fmt"

	"github.com/platforma-cloud/orders/internal/fault"
)

// ruleBody is a condition between members that a JSON Schema cannot express. The set of rules is fixed: an entry
// names a rule and cannot define one.
type ruleBody struct {
	Rule   string `json:"rule"`
	When   string `json:"when"`   // JSON pointer to a switch; "" means always
	Member string `json:"member"` // JSON pointer to the member that the fault is reported at
	Other  string `json:"other"`  // JSON pointer to the member that it is compared with
}

// The rules.
const (
	ruleRequired = "required-when" // member must be present
	ruleAtMost   = "at-most"       // member ≤ other
	ruleAtLeast  = "at-least"      // member ≥ other
)

// checkRules refuses a rule that is unknown or names members of the wrong type.
func checkRules(fields *node, rules []ruleBody) error {
	for i, r := range rules {
		if err := r.lint(fields); err != nil {
			return fmt.Errorf("rule %d: %w", i, err)
		}
	}
	return nil
}

func (r ruleBody) lint(fields *node) error {
	for _, p := range []string{r.When, r.Member, r.Other} {
		if p != "" && p[0] != '/' {
			return fmt.Errorf("%q is not a JSON pointer to a member", p)
		}
	}
	if r.When != "" {
		if n, _ := fields.at(tokens(r.When)); n == nil || n.Type != "boolean" {
			return fmt.Errorf("%q is not a switch of the configuration", r.When)
		}
	}
	member, _ := fields.at(tokens(r.Member))
	if member == nil || r.Member == "" {
		return fmt.Errorf("%q is not in the configuration", r.Member)
	}
	switch r.Rule {
	case ruleRequired:
		if r.When == "" || r.Other != "" {
			return fmt.Errorf("%s takes when and member", ruleRequired)
		}
		return nil
	case ruleAtMost, ruleAtLeast:
		other, _ := fields.at(tokens(r.Other))
		if other == nil || other.Type != "integer" || member.Type != "integer" {
			return fmt.Errorf("%s compares two integers of the configuration", r.Rule)
		}
		return nil
	}
	return fmt.Errorf("%q is none of %s, %s, %s", r.Rule, ruleRequired, ruleAtMost, ruleAtLeast)
}

// broken reports whether a configuration, with its defaults filled in, violates the rule, and how. It ignores a
// compared member that is missing or not a number: the schema reports those.
func (r ruleBody) broken(fields *node, configuration any, at string) (fault.Violation, bool) {
	if r.When != "" {
		if on, _ := lookup(configuration, r.When); on != true {
			return fault.Violation{}, false
		}
	}
	n, label := fields.at(tokens(r.Member))
	v := fault.Violation{Pointer: at + r.Member, Code: CodeInconsistent}
	if r.Rule == ruleRequired {
		_, present := lookup(configuration, r.Member)
		_, whenLabel := fields.at(tokens(r.When))
		v.Code = CodeRequired
		v.Message = fmt.Sprintf("%s is missing: it is required when %q is on.", label, whenLabel)
		v.Allowed = n.bounds()
		return v, !present
	}
	member, ok := integerAt(configuration, r.Member)
	other, ok2 := integerAt(configuration, r.Other)
	if !ok || !ok2 {
		return fault.Violation{}, false
	}
	_, otherLabel := fields.at(tokens(r.Other))
	if r.Rule == ruleAtMost {
		v.Message = fmt.Sprintf("%s must not be above %q, which is %d.", label, otherLabel, other)
		v.Allowed = []any{*n.Minimum, other}
		return v, member > other
	}
	v.Message = fmt.Sprintf("%s must not be below %q, which is %d.", label, otherLabel, other)
	v.Allowed = []any{other, *n.Maximum}
	return v, member < other
}

// integerAt returns the integer at a JSON pointer of a configuration.
func integerAt(configuration any, p string) (int64, bool) {
	v, ok := lookup(configuration, p)
	if !ok {
		return 0, false
	}
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	i, err := n.Int64()
	return i, err == nil
}
