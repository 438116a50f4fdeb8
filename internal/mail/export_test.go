package mail

// DeliveryText and Instructions are deliveryText and instructions, for the tests.
var (
	DeliveryText = deliveryText
	Instructions = instructions
)

// Subjects returns the subjects of a delivery outside and inside its encryption.
func Subjects(m DeliveryMail) (outside, inside string) { return outsideSubject(m), insideSubject(m) }
