package process

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/mail"
)

// mailer adapts package mail to the port of the use cases. Without a sender, as in an API process, it only
// checks keys.
type mailer struct{ *mail.Sender }

var errNoSender = errors.New("this process sends no mail")

func (m mailer) SendDelivery(ctx context.Context, d app.DeliveryMail) error {
	if m.Sender == nil {
		return errNoSender
	}
	return m.Sender.SendDelivery(ctx, mail.DeliveryMail{
		To: d.To, MessageID: d.MessageID, At: d.At, PublicKey: d.PublicKey, Passphrase: d.Passphrase, Secret: d.Secret,
		Language: d.Language, Brand: d.Brand, OrderNumber: d.OrderNumber, Line: d.Line, Title: d.Title, Service: d.Service,
		PortalURL: d.PortalURL, Simulated: d.Simulated,
	})
}

func (m mailer) SendNotice(ctx context.Context, n app.Notice) error {
	if m.Sender == nil {
		return errNoSender
	}
	return m.Sender.SendNotice(ctx, mail.Notice{To: n.To, MessageID: n.MessageID, At: n.At, Brand: n.Brand, Mail: n.Mail})
}

func (mailer) Class(err error) fault.Class { return mail.Classify(err) }

func (mailer) NewPassphrase() (string, error) { return mail.NewPassphrase(rand.Reader) }

func (mailer) CheckKey(key []byte, now time.Time) (app.KeyInfo, error) {
	k, err := mail.CheckPublicKey(key, now)
	if err != nil {
		return app.KeyInfo{}, err
	}
	info := app.KeyInfo{Fingerprint: k.Fingerprint, UserIDs: k.UserIDs, Binary: k.Public}
	if !k.Expires.IsZero() {
		info.Expires = &k.Expires
	}
	return info, nil
}
