package catalog

import (
	"fmt"
	"strings"

	"github.com/platforma-cloud/orders/internal/fault"
)

// The codes of a selection's faults. A code never changes once published; the portal's texts and
// clients' programs hang on it.
const (
	CodeRequired            = "required"                  // a member is missing
	CodeUnknownMember       = "unknown-member"            // a member nobody knows
	CodeWrongType           = "wrong-type"                // text for a number, and the like
	CodeNotAnInteger        = "not-an-integer"            // 1.0, 1e2: a number, but not written as a whole one
	CodeValueNotOffered     = "value-not-offered"         // none of the enumerated values
	CodeBelowMinimum        = "below-minimum"             //
	CodeAboveMaximum        = "above-maximum"             //
	CodeTooShort            = "too-short"                 // of a text
	CodeTooLong             = "too-long"                  // of a text
	CodeTooFew              = "too-few"                   // entries of a list
	CodeTooMany             = "too-many"                  // entries of a list
	CodeDuplicateValue      = "duplicate-value"           // an entry stands twice in a list
	CodeWrongFormat         = "wrong-format"              // a text that is not of its kind
	CodeInvalidValue        = "invalid-value"             // anything else the schema refuses
	CodeInconsistent        = "inconsistent-members"      // two members contradict each other
	CodeMalformed           = "malformed-configuration"   // not one JSON value, a member twice, too deep
	CodeProductUnknown      = "product-unknown"           //
	CodePlanNotOffered      = "plan-not-offered"          // by this product
	CodeRegionNotOffered    = "region-not-offered"        // for this product
	CodeCycleNotOffered     = "billing-cycle-not-offered" // for this product (D15)
	CodeForbiddenCharacters = "forbidden-characters"      // control or direction characters in a label
)

// typeNames is how a message calls a schema's type.
var typeNames = map[string]string{
	"object": "an object", "array": "a list", "integer": "a whole number", "string": "a text", "boolean": "true or false",
}

// violation words a finding: what the member is called, what is wrong, what would be accepted. It
// never repeats the value.
func (o *offer) violation(f finding, at string) fault.Violation {
	n, label := o.fields.at(f.at)
	v := fault.Violation{Pointer: at + pointer(f.at), Code: f.code}
	if n == nil {
		parent, _ := o.fields.at(f.at[:len(f.at)-1])
		v.Message = "This member is not part of the product's configuration."
		if parent != nil {
			v.Allowed = anySlice(parent.memberNames())
		}
		return v
	}
	v.Message, v.Allowed = n.explain(f.code, label)
	return v
}

// explain is the text and the accepted values for a fault of this node.
func (n *node) explain(code, label string) (string, []any) {
	switch code {
	case CodeRequired:
		return label + " is missing.", anySlice(n.Enum)
	case CodeWrongType:
		return fmt.Sprintf("%s must be %s.", label, typeNames[n.Type]), anySlice(n.Enum)
	case CodeNotAnInteger:
		return label + " must be a whole number, written without point and exponent.", n.bounds()
	case CodeValueNotOffered:
		return fmt.Sprintf("%s must be one of: %s.", label, strings.Join(n.Enum, ", ")), anySlice(n.Enum)
	case CodeBelowMinimum:
		return fmt.Sprintf("%s must be at least %d.", label, *n.Minimum), n.bounds()
	case CodeAboveMaximum:
		return fmt.Sprintf("%s must be at most %d.", label, *n.Maximum), n.bounds()
	case CodeTooShort:
		return fmt.Sprintf("%s must have at least %d characters.", label, *n.MinLength), nil
	case CodeTooLong:
		return fmt.Sprintf("%s must have at most %d characters.", label, *n.MaxLength), nil
	case CodeTooFew:
		return fmt.Sprintf("%s must have at least %d entries.", label, *n.MinItems), nil
	case CodeTooMany:
		return fmt.Sprintf("%s must have at most %d entries.", label, *n.MaxItems), nil
	case CodeDuplicateValue:
		return label + " stands in the list already.", nil
	case CodeWrongFormat:
		return label + " does not have the form it must have.", nil
	}
	return label + " is not accepted.", nil
}

// bounds are the least and the largest number accepted.
func (n *node) bounds() []any {
	if n.Minimum == nil || n.Maximum == nil {
		return nil
	}
	return []any{*n.Minimum, *n.Maximum}
}

func anySlice(values []string) []any {
	if len(values) == 0 {
		return nil
	}
	out := make([]any, 0, len(values))
	for _, v := range values {
		out = append(out, v)
	}
	return out
}
