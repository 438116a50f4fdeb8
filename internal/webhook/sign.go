package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"github.com/platforma-cloud/orders/internal/app"
)

// Headers and secret prefix of Standard Webhooks
// (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
	secretPrefix    = "whsec_"
)

var errSecret = errors.New("a signing secret is whsec_ and base64")

// signatures returns the value of the signature header: one signature for each secret, separated by spaces, so
// that a receiver can verify with any of them.
func signatures(m app.Post) (string, error) {
	if len(m.Secrets) == 0 {
		return "", errSecret
	}
	signed := make([]string, len(m.Secrets))
	for i, s := range m.Secrets {
		text, ok := strings.CutPrefix(s, secretPrefix)
		key, err := base64.StdEncoding.DecodeString(text)
		if !ok || err != nil {
			return "", errSecret // without the text, which may be a secret
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(m.ID + "." + strconv.FormatInt(m.At.Unix(), 10) + "."))
		mac.Write(m.Body)
		signed[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signed, " "), nil
}
