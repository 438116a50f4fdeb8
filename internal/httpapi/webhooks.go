package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/httpkit"
)

// eventName is the type of an event.
type eventName string

// Schema lists the types.
func (eventName) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString}
	for _, t := range event.Types() {
		s.Enum = append(s.Enum, string(t))
	}
	return s
}

func eventNames(types []event.Type) []eventName {
	names := make([]eventName, len(types))
	for i, t := range types {
		names[i] = eventName(t)
	}
	return names
}

func typesOf(names []eventName) []event.Type {
	types := make([]event.Type, len(names))
	for i, n := range names {
		types[i] = event.Type(n)
	}
	return types
}

type webhookView struct {
	ID           string       `json:"id" format:"uuid"`
	URL          string       `json:"url"`
	Description  *string      `json:"description"`
	Types        []eventName  `json:"types" nullable:"false" doc:"The types of events that are posted. Empty means all."`
	State        string       `json:"state" enum:"active,failing,disabled,deleted" doc:"failing means that a delivery ran out of calls. Events are kept, and nothing is called until the webhook is enabled or a replay is accepted."`
	Why          *string      `json:"why" enum:"exhausted,gone,by-hand" doc:"Why the webhook is not active: a delivery ran out of calls, the endpoint answered 410, or somebody disabled it."`
	Since        time.Time    `json:"since" doc:"When the webhook got its state."`
	Failures     int          `json:"failures" doc:"The number of failed calls in a row."`
	RestingUntil *time.Time   `json:"resting_until" doc:"After several failures in a row, nothing is called before this time."`
	Secrets      []secretView `json:"secrets" nullable:"false" doc:"The secrets that sign calls now, the newest first."`
	Version      int          `json:"version"`
	CreatedAt    time.Time    `json:"created_at"`
	UpdatedAt    time.Time    `json:"updated_at"`
}

type secretView struct {
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at" doc:"Null for the current secret."`
}

func viewWebhook(e app.WebhookEndpoint) webhookView {
	v := webhookView{
		ID: e.ID.String(), URL: e.URL, Description: orNull(e.Description), Types: eventNames(e.Types),
		State: e.State.String(), Why: orNull(string(e.Why)), Since: stamp(e.Since), Failures: e.Failures,
		RestingUntil: stampOr(&e.RestingUntil), Secrets: make([]secretView, len(e.Secrets)), Version: e.Version,
		CreatedAt: stamp(e.CreatedAt), UpdatedAt: stamp(e.UpdatedAt),
	}
	if !e.DeletedAt.IsZero() {
		v.State = "deleted"
	}
	for i, s := range e.Secrets {
		v.Secrets[i] = secretView{CreatedAt: stamp(s.CreatedAt), ExpiresAt: stampOr(&s.ExpiresAt)}
	}
	return v
}

func showWebhook(_ app.Caller, e app.WebhookEndpoint) reply[webhookView] {
	return reply[webhookView]{Body: viewWebhook(e), ETag: httpkit.ETag(e.Version)}
}

// Webhook is webhookView under an exported name, so that it can be embedded: the library ignores embedded fields with
// an unexported name.
type Webhook = webhookView

// issuedWebhookView is a webhook with a new secret.
type issuedWebhookView struct {
	Webhook
	Secret       *string `json:"secret" doc:"Only this answer shows it, so store it now. Null in the stored answer of an Idempotency-Key." example:"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="`
	AlreadyShown bool    `json:"secret_already_shown" doc:"Whether this is the stored answer of an Idempotency-Key, so that only the first answer showed the secret. If you have lost that answer, rotate the secret."`
}

func showIssuedWebhook(_ app.Caller, i app.IssuedSecret) reply[issuedWebhookView] {
	return reply[issuedWebhookView]{
		Body: issuedWebhookView{
			Webhook: viewWebhook(i.WebhookEndpoint), Secret: orNull(i.Secret), AlreadyShown: i.Secret == "",
		},
		ETag: httpkit.ETag(i.Version), Location: "/v1/webhooks/" + i.ID.String(),
	}
}

// webhookDeliveryView is a webhook delivery: one event on its way to one webhook.
type webhookDeliveryView struct {
	ID         string     `json:"id" format:"uuid"`
	Event      string     `json:"event" format:"uuid" doc:"The id of the event, which is the webhook-id of every call."`
	Type       string     `json:"type" example:"order.fulfilled"`
	Order      string     `json:"order" format:"uuid"`
	Seq        int        `json:"seq" doc:"The seq of the event in its order."`
	State      string     `json:"state" enum:"pending,delivered,failed,dropped"`
	Calls      int        `json:"calls"`
	LastStatus *int       `json:"last_status" doc:"The HTTP status of the last call; null if no answer came."`
	LastResult *string    `json:"last_result" enum:"delivered,gone,busy,redirected,refused,no-answer,name-not-found,unreachable,tls,forbidden-address"`
	CreatedAt  time.Time  `json:"created_at"`
	NextAt     *time.Time `json:"next_at" doc:"When the next call is due. It is later if the webhook is resting or failing."`
	DoneAt     *time.Time `json:"done_at"`
}

func viewWebhookDelivery(delivery app.WebhookDelivery) webhookDeliveryView {
	return webhookDeliveryView{
		ID: delivery.ID.String(), Event: delivery.Event.String(), Type: string(delivery.Type), Order: delivery.Order.String(),
		Seq: delivery.Seq, State: delivery.State.String(), Calls: delivery.Calls, LastStatus: intOr(delivery.LastStatus),
		LastResult: orNull(string(delivery.LastResult)), CreatedAt: stamp(delivery.CreatedAt),
		NextAt: stampOr(&delivery.NextAt), DoneAt: stampOr(&delivery.DoneAt),
	}
}

func intOr(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}

// WebhookDelivery is webhookDeliveryView under an exported name, for the same reason as Webhook.
type WebhookDelivery = webhookDeliveryView

type webhookDeliveryDetailView struct {
	WebhookDelivery
	Log []webhookCallView `json:"log" nullable:"false" doc:"The last 100 calls, the newest first."`
}

type webhookCallView struct {
	N       int       `json:"n"`
	At      time.Time `json:"at"`
	Status  *int      `json:"status"`
	Result  string    `json:"result"`
	TookMS  int64     `json:"took_ms"`
	Excerpt *string   `json:"excerpt" doc:"The beginning of the answer: at most 1 KiB of printable text."`
}

func showWebhookDelivery(_ app.Caller, delivery app.WebhookDelivery) reply[webhookDeliveryDetailView] {
	v := webhookDeliveryDetailView{
		WebhookDelivery: viewWebhookDelivery(delivery), Log: make([]webhookCallView, len(delivery.Log)),
	}
	for i, c := range delivery.Log {
		v.Log[i] = webhookCallView{
			N: c.N, At: stamp(c.At), Status: intOr(c.Status), Result: string(c.Result), TookMS: c.Took.Milliseconds(),
			Excerpt: orNull(c.Excerpt),
		}
	}
	return plain(v)
}

type webhookInput struct {
	ID string `path:"id"`
}

type addWebhookInput struct {
	Body struct {
		URL         string      `json:"url" minLength:"1" maxLength:"2048" doc:"An https URL on the public internet, without a user name or password."`
		Description string      `json:"description,omitempty" maxLength:"200"`
		Types       []eventName `json:"types,omitempty" maxItems:"100" nullable:"false" doc:"The types of events to post. None means all."`
	}
}

type editWebhookInput struct {
	ID   string `path:"id"`
	Body struct {
		Version     *int         `json:"version,omitempty" minimum:"0" doc:"The version that you read. You may send If-Match instead."`
		URL         *string      `json:"url,omitempty" minLength:"1" maxLength:"2048"`
		Description *string      `json:"description,omitempty" maxLength:"200"`
		Types       *[]eventName `json:"types,omitempty" maxItems:"100" doc:"Replaces the types. Empty means all."`
		Enabled     *bool        `json:"enabled,omitempty" doc:"true makes the webhook active again, whatever stopped it, and pending deliveries are posted at once. false keeps pending deliveries and adds no new ones."`
	}
}

type rotateBody struct {
	Version *int `json:"version,omitempty" minimum:"0"`
	Overlap *int `json:"overlap_hours,omitempty" minimum:"0" maximum:"168" doc:"How many hours the previous secret stays valid; 24 if it is not sent. Send 0 after a leak."`
}

type rotateInput struct {
	ID   string `path:"id"`
	Body *rotateBody
}

type webhookDeliveriesInput struct {
	ID     string `path:"id"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" doc:"50 if it is not sent."`
	Cursor string `query:"cursor" maxLength:"512"`
	State  string `query:"state" enum:"pending,delivered,failed,dropped"`
}

type webhookDeliveryInput struct {
	ID       string `path:"id"`
	Delivery string `path:"delivery"`
}

func (s *server) webhookRoutes() {
	const tag, who = "webhooks", "admin"
	serve(s, route{
		Method: http.MethodPost, Path: "/v1/webhooks", ID: "create-webhook", Tag: tag, Summary: "Create a webhook",
		Who: who, Status: http.StatusCreated, Key: true, Errors: []int{409},
		Description: "Events that are committed from now on are posted to it. Only this answer shows the signing secret. " +
			"An organisation has at most 20 webhooks.",
	}, func(ctx context.Context, c app.Caller, in *addWebhookInput) (app.IssuedSecret, error) {
		return s.useCases.AddWebhookEndpoint(ctx, c, app.AddWebhookEndpoint{
			URL: in.Body.URL, Description: in.Body.Description, Types: typesOf(in.Body.Types),
		})
	}, showIssuedWebhook)
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/webhooks", ID: "list-webhooks", Tag: tag, Summary: "List webhooks",
		Who:         "admin, auditor",
		Description: "All webhooks, the oldest first.",
	}, func(ctx context.Context, c app.Caller, _ *noInput) (app.Page[app.WebhookEndpoint], error) {
		endpoints, err := s.useCases.WebhookEndpoints(ctx, c)
		return app.Page[app.WebhookEndpoint]{Data: endpoints}, err
	}, func(_ app.Caller, p app.Page[app.WebhookEndpoint]) reply[list[webhookView]] {
		return page(p, viewWebhook)
	})
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/webhooks/{id}", ID: "get-webhook", Tag: tag, Summary: "Read a webhook",
		Who: "admin, auditor", Errors: []int{404},
		Description: "The webhook without its secrets.",
	}, func(ctx context.Context, c app.Caller, in *webhookInput) (app.WebhookEndpoint, error) {
		return s.useCases.WebhookEndpoint(ctx, c, idIn[app.WebhookEndpoint](in.ID))
	}, showWebhook)
	serve(s, route{
		Method: http.MethodPatch, Path: "/v1/webhooks/{id}", ID: "edit-webhook", Tag: tag,
		Summary: "Edit, enable or disable a webhook", Who: who, Key: true, Versioned: true,
		Errors:      []int{404, 409, 428},
		Description: "Needs the version that you read, as a member or as If-Match. Members that are not sent do not change.",
	}, s.editWebhook, showWebhook)
	serve(s, route{
		Method: http.MethodDelete, Path: "/v1/webhooks/{id}", ID: "delete-webhook", Tag: tag, Summary: "Delete a webhook",
		Who: who, Key: true, Versioned: true, Errors: []int{404},
		Description: "Deletes the webhook and its secrets for good. Pending deliveries are not posted.",
	}, func(ctx context.Context, c app.Caller, in *webhookInput) (app.WebhookEndpoint, error) {
		return s.useCases.DeleteWebhookEndpoint(ctx, c, idIn[app.WebhookEndpoint](in.ID), requestFrom(ctx).precondition(nil))
	}, showWebhook)
	serve(s, route{
		Method: http.MethodPost, Path: "/v1/webhooks/{id}/rotate", ID: "rotate-webhook-secret", Tag: tag,
		Summary: "Rotate the secret of a webhook", Who: who, Key: true, Versioned: true, Errors: []int{404, 409},
		Description: "Until the overlap ends, every call has a signature with each of the two secrets. Only this answer " +
			"shows the new secret.",
	}, s.rotateSecret, showIssuedWebhook)
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/webhooks/{id}/deliveries", ID: "list-webhook-deliveries", Tag: tag,
		Summary: "List webhook deliveries", Who: "admin, auditor", Errors: []int{404},
		Description: "The deliveries to one webhook, the newest first.",
	}, func(ctx context.Context, c app.Caller, in *webhookDeliveriesInput) (app.Page[app.WebhookDelivery], error) {
		f := app.WebhookDeliveryFilter{
			Cursor: in.Cursor, Limit: limitOf(in.Limit), State: named(in.State, app.WebhookDeliveryPending,
				app.WebhookDeliveryDelivered, app.WebhookDeliveryFailed, app.WebhookDeliveryDropped),
		}
		return s.useCases.WebhookDeliveries(ctx, c, idIn[app.WebhookEndpoint](in.ID), f)
	}, func(_ app.Caller, p app.Page[app.WebhookDelivery]) reply[list[webhookDeliveryView]] {
		return page(p, viewWebhookDelivery)
	})
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/webhooks/{id}/deliveries/{delivery}", ID: "get-webhook-delivery", Tag: tag,
		Summary: "Read a webhook delivery", Who: "admin, auditor", Errors: []int{404},
		Description: "The delivery with its calls: when each was made, what the answer was, and how long it took.",
	}, func(ctx context.Context, c app.Caller, in *webhookDeliveryInput) (app.WebhookDelivery, error) {
		return s.useCases.WebhookDelivery(ctx, c, idIn[app.WebhookEndpoint](in.ID), idIn[app.WebhookDelivery](in.Delivery))
	}, showWebhookDelivery)
	serve(s, route{
		Method: http.MethodPost, Path: "/v1/webhooks/{id}/deliveries/{delivery}/replay", ID: "replay-webhook-delivery",
		Tag: tag, Summary: "Replay a webhook delivery", Who: who, Key: true, Errors: []int{404, 409},
		Description: "Posts the event again with the same webhook-id, whatever its state. For a failing webhook this is a " +
			"single call; if the endpoint accepts it, the webhook becomes active again.",
	}, func(ctx context.Context, c app.Caller, in *webhookDeliveryInput) (app.WebhookDelivery, error) {
		return s.useCases.ReplayWebhookDelivery(ctx, c, idIn[app.WebhookEndpoint](in.ID),
			idIn[app.WebhookDelivery](in.Delivery))
	}, func(_ app.Caller, delivery app.WebhookDelivery) reply[webhookDeliveryView] {
		return plain(viewWebhookDelivery(delivery))
	})
}

func (s *server) editWebhook(ctx context.Context, c app.Caller, in *editWebhookInput) (app.WebhookEndpoint, error) {
	b := in.Body
	edit := app.EditWebhookEndpoint{
		WebhookEndpoint: idIn[app.WebhookEndpoint](in.ID), URL: b.URL, Description: b.Description, Enabled: b.Enabled,
		Precondition: requestFrom(ctx).precondition(b.Version),
	}
	if b.Types != nil {
		types := typesOf(*b.Types)
		edit.Types = &types
	}
	return s.useCases.EditWebhookEndpoint(ctx, c, edit)
}

func (s *server) rotateSecret(ctx context.Context, c app.Caller, in *rotateInput) (app.IssuedSecret, error) {
	b := orZero(in.Body)
	rotate := app.RotateWebhookSecret{
		WebhookEndpoint: idIn[app.WebhookEndpoint](in.ID), Precondition: requestFrom(ctx).precondition(b.Version),
	}
	if b.Overlap != nil {
		overlap := time.Duration(*b.Overlap) * time.Hour
		rotate.Overlap = &overlap
	}
	return s.useCases.RotateWebhookSecret(ctx, c, rotate)
}
