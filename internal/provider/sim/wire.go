package sim

import (
	"encoding/json"
	"time"
)

// The operations in the log and in faults. OpLook is the read by key before a create, OpList the walk of the
// reaper.
const (
	OpCreate      = "create"
	OpObserve     = "observe"
	OpDelete      = "delete"
	OpCredentials = "credentials"
	OpLook        = "look"
	OpList        = "list"
)

// Labels in addition to those of provider.Key. People and tests read them in the ledger.
const (
	labelInstallation = "installation"
	labelTenant       = "tenant"
	labelOrder        = "order"
	labelItem         = "item"
	labelStep         = "step"
	labelGeneration   = "generation"
	labelLabel        = "label" // the item's own label
	labelProduct      = "product"
)

// Resource is a resource that exists, as API and ledger show it.
type Resource struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"` // provider.Key.Name, if the adapter made it
	Kind      string            `json:"kind"`
	Region    string            `json:"region"`
	Phase     string            `json:"phase"` // pending, ready, failed, deleting
	Progress  uint8             `json:"progress"`
	Detail    string            `json:"detail,omitempty"`
	FaultCode string            `json:"fault_code,omitempty"`
	SpecHash  string            `json:"spec_hash,omitempty"`
	Labels    map[string]string `json:"labels"`
	CreatedAt time.Time         `json:"created_at"`
}

// Call is one line of the log.
type Call struct {
	At        time.Time `json:"at"`
	Operation string    `json:"operation"`
	Key       string    `json:"key,omitempty"` // the key's name; empty if the call has no key
	// Result is "created", "exists", "accepted", "absent", a phase, "issued", an error's code, or the kind of fault
	// that replaced the reply.
	Result     string   `json:"result"`
	Fault      string   `json:"fault,omitempty"`
	Effect     bool     `json:"effect,omitempty"` // whether something was created or began to be removed
	IDs        []string `json:"ids,omitempty"`    // of the resources created, existing, asked to be removed, or opened
	Tenant     string   `json:"tenant,omitempty"`
	Order      string   `json:"order,omitempty"`
	Item       string   `json:"item,omitempty"`
	Step       string   `json:"step,omitempty"`
	Generation string   `json:"generation,omitempty"`
	Product    string   `json:"product,omitempty"`
	Label      string   `json:"label,omitempty"`
}

// Ledger is the answer to GET /ledger.
type Ledger struct {
	Live []Resource `json:"live"`
	Log  []Call     `json:"log"`
}

// Issued is the answer to GET /secrets/{item}: each secret once, newest last.
type Issued struct {
	Item    string            `json:"item"`
	Secrets []json.RawMessage `json:"secrets"`
}

// Foreign is the body of POST /foreign: a resource that belongs to no item.
type Foreign struct {
	Name   string            `json:"name"`
	Kind   string            `json:"kind"`
	Region string            `json:"region"`
	Labels map[string]string `json:"labels"`
}

type createRequest struct {
	Name          string            `json:"name"`
	Kind          string            `json:"kind"`
	Region        string            `json:"region"`
	Product       string            `json:"product"`
	Plan          string            `json:"plan,omitempty"`
	Configuration json.RawMessage   `json:"configuration,omitempty"`
	SpecHash      string            `json:"spec_hash,omitempty"`
	Needs         []string          `json:"needs,omitempty"`
	Labels        map[string]string `json:"labels"`
}

type resourcePage struct {
	Resources []Resource `json:"resources"`
	Next      string     `json:"next,omitempty"` // the last id of this page, if there are more
}

type facts struct {
	Naming  string                 `json:"naming"`
	Regions map[string]regionFacts `json:"regions"`
}

type regionFacts struct {
	Products []string `json:"products"`
	Images   []string `json:"images"`
	Free     Amounts  `json:"free"`
}

type quotas struct {
	Regions map[string]regionQuota `json:"regions"`
}

type regionQuota struct {
	Used  Amounts `json:"used"`
	Limit Amounts `json:"limit"`
}

type errorBody struct {
	Error wireError `json:"error"`
}

type wireError struct {
	Code     string    `json:"code"`
	Detail   string    `json:"detail,omitempty"`
	Existing *Resource `json:"existing,omitempty"` // set with codeNameTaken
}

// The codes of refusals and of failed resources.
const (
	codeInvalid       = "invalid_input"
	codeReference     = "unknown_reference"
	codeUnauthorized  = "unauthorized"
	codeForbidden     = "forbidden"
	codeQuota         = "quota_exceeded"
	codeNotFound      = "not_found"
	codeNameTaken     = "name_taken"
	codeDeleting      = "being_deleted"
	codeInUse         = "in_use"
	codeNotReady      = "not_ready"
	codeLocked        = "locked"
	codeNoCapacity    = "no_capacity"
	codeNoValidHost   = "no_valid_host"
	codeBuildFailed   = "build_failed"
	codeDeleteFailed  = "delete_failed"
	codeMaintenance   = "maintenance"
	codeProtected     = "protected"
	codeRateLimited   = "rate_limited"
	codeInternal      = "internal_error"
	codeUnavailable   = "unavailable"
	codePendingSecret = "credentials_pending"
)
