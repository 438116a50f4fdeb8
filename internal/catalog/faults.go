package catalog

import (
	"fmt"
	"strings"

	"github.com/platforma-cloud/orders/internal/fault"
)

// The codes of a selection's faults. A published code never changes, because the portal's texts and clients'
// programs depend on it.
const (
	CodeRequired            = "required"                  // a member is missing
	CodeUnknownMember       = "unknown-member"            // the schema has no such member
	CodeWrongType           = "wrong-type"                // such as a text for a number
	CodeNotAnInteger        = "not-an-integer"            // a number that is not written as an integer: 1.0, 1e2
	CodeValueNotOffered     = "value-not-offered"         // none of the enumerated values
	CodeBelowMinimum        = "below-minimum"             //
	CodeAboveMaximum        = "above-maximum"             //
	CodeTooShort            = "too-short"                 // of a text
	CodeTooLong             = "too-long"                  // of a text
	CodeTooFew              = "too-few"                   // entries of a list
	CodeTooMany             = "too-many"                  // entries of a list
	CodeDuplicateValue      = "duplicate-value"           // a list has an entry twice
	CodeWrongFormat         = "wrong-format"              // a text that does not match the pattern
	CodeInvalidValue        = "invalid-value"             // anything else that the schema refuses
	CodeInconsistent        = "inconsistent-members"      // two members contradict each other
	CodeMalformed           = "malformed-configuration"   // not one JSON value, a duplicate member, nested too deep
	CodeProductUnknown      = "product-unknown"           //
	CodePlanNotOffered      = "plan-not-offered"          // by this product
	CodeRegionNotOffered    = "region-not-offered"        // for this product
	CodeCycleNotOffered     = "billing-cycle-not-offered" // for this product (D15)
	CodeForbiddenCharacters = "forbidden-characters"      // control or direction characters in a label
)

// typeNames are the names of the schema's types in messages.
var typeNames = map[string]string{
	"object": "an object", "array": "a list", "integer": "a whole number", "string": "a text", "boolean": "true or false",
}

// violation turns a finding into a message: the member's label, what is wrong and what is accepted. It never
// repeats the value.
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

// explain returns the message and the accepted values for a fault of this node.
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
		return label + " is in the list already.", nil
	case CodeWrongFormat:
		return label + " does not have the required format.", nil
	}
	return label + " is not accepted.", nil
}

// bounds returns the smallest and the largest number that are accepted, or nil.
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
