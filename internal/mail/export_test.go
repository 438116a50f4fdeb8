package mail

// DeliveryText is what the recipient reads after decrypting.
func DeliveryText(m DeliveryMail) string { return deliveryText(m) }
