package mail

// DeliveryText is what the recipient reads after decrypting, Instructions what stands beside an attachment.
var (
	DeliveryText = deliveryText
	Instructions = instructions
)

// Subjects of a delivery, outside and inside its encryption.
func Subjects(m DeliveryMail) (outside, inside string) { return outsideSubject(m), insideSubject(m) }
