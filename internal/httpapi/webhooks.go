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

// eventName is a type of event in a list.
type eventName string

// Schema lists them.
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
	Types        []eventName  `json:"types" nullable:"false" doc:"Events that are posted; empty: all of them."`
	State        string       `json:"state" enum:"active,failing,disabled,deleted" doc:"failing: a delivery ran out of calls; events are kept and nothing is called until it is enabled, or a replay is taken."`
	Why          *string      `json:"why" enum:"exhausted,gone,by-hand" doc:"It stopped because a delivery ran out of calls, because it answered 410, or because somebody stopped it."`
	Since        time.Time    `json:"since" doc:"Of the state."`
	Failures     int          `json:"failures" doc:"Calls in a row that failed."`
	RestingUntil *time.Time   `json:"resting_until" doc:"After failures in a row: nothing is called before."`
	Secrets      []secretView `json:"secrets" nullable:"false" doc:"Those that sign now, the newest first."`
	Version      int          `json:"version"`
	CreatedAt    time.Time    `json:"created_at"`
	UpdatedAt    time.Time    `json:"updated_at"`
}

type secretView struct {
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at" doc:"Null of the present one."`
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

// Webhook embeds what is shown of a webhook: the library only sees what is embedded under an exported
// name.
type Webhook = webhookView

// issuedView is a webhook with its new secret.
type issuedView struct {
	Webhook
	Secret       *string `json:"secret" doc:"Shown in this one answer: keep it now. Null in the stored answer of an Idempotency-Key." example:"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="`
	AlreadyShown bool    `json:"secret_already_shown" doc:"The answer is a repetition, and the secret was shown in the first one. Where that was lost, rotate."`
}

func showIssued(_ app.Caller, i app.IssuedSecret) reply[issuedView] {
	return reply[issuedView]{
		Body: issuedView{Webhook: viewWebhook(i.WebhookEndpoint), Secret: orNull(i.Secret), AlreadyShown: i.Secret == ""},
		ETag: httpkit.ETag(i.Version), Location: "/v1/webhooks/" + i.ID.String(),
	}
}

// webhookDeliveryView is one event on its way to one webhook.
type webhookDeliveryView struct {
	ID         string     `json:"id" format:"uuid"`
	Event      string     `json:"event" format:"uuid" doc:"The webhook-id of every call."`
	Type       string     `json:"type" example:"order.fulfilled"`
	Order      string     `json:"order" format:"uuid"`
	Seq        int        `json:"seq" doc:"Of the event among its order's."`
	State      string     `json:"state" enum:"pending,delivered,failed,dropped"`
	Calls      int        `json:"calls"`
	LastStatus *int       `json:"last_status" doc:"Of HTTP; null when no answer came."`
	LastResult *string    `json:"last_result" enum:"delivered,gone,busy,redirected,refused,no-answer,name-not-found,unreachable,tls,forbidden-address"`
	CreatedAt  time.Time  `json:"created_at"`
	NextAt     *time.Time `json:"next_at" doc:"By its schedule; a webhook that is resting or failing makes it later."`
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

// WebhookDelivery embeds what a list shows of a delivery, as Webhook does.
type WebhookDelivery = webhookDeliveryView

type webhookDeliveryDetailView struct {
	WebhookDelivery
	Log []callView `json:"log" nullable:"false" doc:"Calls, the newest first; the last 100."`
}

type callView struct {
	N       int       `json:"n"`
	At      time.Time `json:"at"`
	Status  *int      `json:"status"`
	Result  string    `json:"result"`
	TookMS  int64     `json:"took_ms"`
	Excerpt *string   `json:"excerpt" doc:"The beginning of the answer, at most 1 KiB of what can be printed."`
}

func showWebhookDelivery(_ app.Caller, delivery app.WebhookDelivery) reply[webhookDeliveryDetailView] {
	v := webhookDeliveryDetailView{
		WebhookDelivery: viewWebhookDelivery(delivery), Log: make([]callView, len(delivery.Log)),
	}
	for i, c := range delivery.Log {
		v.Log[i] = callView{
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
		URL         string      `json:"url" minLength:"1" maxLength:"2048" doc:"https, on the public internet; no name or password in it."`
		Description string      `json:"description,omitempty" maxLength:"200"`
		Types       []eventName `json:"types,omitempty" maxItems:"100" nullable:"false" doc:"Events to post; none: all of them."`
	}
}

type editWebhookInput struct {
	ID   string `path:"id"`
	Body struct {
		Version     *int         `json:"version,omitempty" minimum:"0" doc:"The version you read; or send If-Match."`
		URL         *string      `json:"url,omitempty" minLength:"1" maxLength:"2048"`
		Description *string      `json:"description,omitempty" maxLength:"200"`
		Types       *[]eventName `json:"types,omitempty" maxItems:"100" doc:"Replaces the list; empty: all."`
		Enabled     *bool        `json:"enabled,omitempty" doc:"true takes it back into service, whatever stopped it: what waited goes at once. false keeps what is pending and hears nothing more."`
	}
}

type rotateBody struct {
	Version *int `json:"version,omitempty" minimum:"0"`
	Overlap *int `json:"overlap_hours,omitempty" minimum:"0" maximum:"168" doc:"How long the secret before stays valid; 24 when not given, 0 after a leak."`
}

type rotateInput struct {
	ID   string `path:"id"`
	Body *rotateBody
}

type webhookDeliveriesInput struct {
	ID     string `path:"id"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" doc:"50 when not given."`
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
		Method: http.MethodPost, Path: "/v1/webhooks", ID: "create-webhook", Tag: tag, Summary: "Have events posted to you",
		Who: who, Status: http.StatusCreated, Key: true, Errors: []int{409},
		Description: "At most 20. The answer shows the signing secret, once. Events committed from now on are posted.",
	}, func(ctx context.Context, c app.Caller, in *addWebhookInput) (app.IssuedSecret, error) {
		return s.useCases.AddWebhookEndpoint(ctx, c, app.AddWebhookEndpoint{
			URL: in.Body.URL, Description: in.Body.Description, Types: typesOf(in.Body.Types),
		})
	}, showIssued)
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/webhooks", ID: "list-webhooks", Tag: tag, Summary: "List webhooks",
		Who:         "admin, auditor",
		Description: "All of them, the oldest first.",
	}, func(ctx context.Context, c app.Caller, _ *noInput) (app.Page[app.WebhookEndpoint], error) {
		all, err := s.useCases.WebhookEndpoints(ctx, c)
		return app.Page[app.WebhookEndpoint]{Data: all}, err
	}, func(_ app.Caller, p app.Page[app.WebhookEndpoint]) reply[list[webhookView]] {
		return page(p, viewWebhook)
	})
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/webhooks/{id}", ID: "get-webhook", Tag: tag, Summary: "Read a webhook",
		Who: "admin, auditor", Errors: []int{404},
		Description: "Everything but its secrets.",
	}, func(ctx context.Context, c app.Caller, in *webhookInput) (app.WebhookEndpoint, error) {
		return s.useCases.WebhookEndpoint(ctx, c, idIn[app.WebhookEndpoint](in.ID))
	}, showWebhook)
	serve(s, route{
		Method: http.MethodPatch, Path: "/v1/webhooks/{id}", ID: "edit-webhook", Tag: tag,
		Summary: "Change a webhook, stop it or start it again", Who: who, Key: true, Versioned: true,
		Errors:      []int{404, 409, 428},
		Description: "Needs the version you read, as a member or as If-Match. What is not sent stays.",
	}, s.editWebhook, showWebhook)
	serve(s, route{
		Method: http.MethodDelete, Path: "/v1/webhooks/{id}", ID: "delete-webhook", Tag: tag, Summary: "Delete a webhook",
		Who: who, Key: true, Versioned: true, Errors: []int{404},
		Description: "For good, with its secrets. What is pending is never posted.",
	}, func(ctx context.Context, c app.Caller, in *webhookInput) (app.WebhookEndpoint, error) {
		return s.useCases.DeleteWebhookEndpoint(ctx, c, idIn[app.WebhookEndpoint](in.ID), requestFrom(ctx).precondition(nil))
	}, showWebhook)
	serve(s, route{
		Method: http.MethodPost, Path: "/v1/webhooks/{id}/rotate", ID: "rotate-webhook-secret", Tag: tag,
		Summary: "Give a webhook a new secret", Who: who, Key: true, Versioned: true, Errors: []int{404, 409},
		Description: "Until the overlap ends every call carries a signature by each of the two. The answer shows the new " +
			"secret, once.",
	}, s.rotateSecret, showIssued)
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/webhooks/{id}/deliveries", ID: "list-webhook-deliveries", Tag: tag,
		Summary: "List what was posted, or will be", Who: "admin, auditor", Errors: []int{404},
		Description: "The newest first.",
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
		Summary: "Read a delivery with its calls", Who: "admin, auditor", Errors: []int{404},
		Description: "When each call was made, what came back, and how long it took.",
	}, func(ctx context.Context, c app.Caller, in *webhookDeliveryInput) (app.WebhookDelivery, error) {
		return s.useCases.WebhookDelivery(ctx, c, idIn[app.WebhookEndpoint](in.ID), idIn[app.WebhookDelivery](in.Delivery))
	}, showWebhookDelivery)
	serve(s, route{
		Method: http.MethodPost, Path: "/v1/webhooks/{id}/deliveries/{delivery}/replay", ID: "replay-webhook-delivery",
		Tag: tag, Summary: "Post a delivery again", Who: who, Key: true, Errors: []int{404, 409},
		Description: "With the same webhook-id, whatever became of it before. To a failing webhook it is one call: taken, " +
			"it brings the webhook back into service.",
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
