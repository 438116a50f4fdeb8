// Package sim is a cloud that exists only in a file: the default region for newcomers and the fault
// bench for tests. It holds both sides of a wire: Server, the cloud itself (a process of its own, see
// Main), and Provider, the adapter that speaks to it as every adapter speaks to its cloud. The two
// share no memory, and the server knows nothing of orders, sagas or the database: it must be able to
// bear witness against them.
//
// # The cloud's API (JSON, loopback only, no login)
//
//	GET    /v1/facts                    regions, products, images, free capacity
//	GET    /v1/quota                    used and limit per region
//	POST   /v1/resources                make one resource: 202 {resource}, 200 {resource} when upserted
//	GET    /v1/resources/{id}           200 {resource} or 404
//	GET    /v1/resources?label=k=v&…    {"resources": […], "next": "id"}; all labels must match; &after=id&limit=n
//	POST   /v1/reads                    {"reads": [query, …]}: up to 50 of the line above in one request; {"answers": [{status, body}, …]}
//	DELETE /v1/resources/{id}           202, or 404 when it is not there
//	DELETE /v1/resources?label=k=v&…    202 {"deleted": n}; at least one label
//	GET    /v1/credentials?ref=a&ref=b  the secret of one item's resources
//
// Reads and deletes may say what they are about (?operation= &name= &item= &step= &product= &label=)
// for the log and the faults. A refusal is {"error": {"code", "detail", "existing"?}}.
//
// # The operator's API
//
//	GET    /healthz         200 when the ledger can be written
//	GET    /ledger          {"live": […], "log": […]}: what is there now, and every call ever made (?only=live: no log)
//	GET    /secrets/{item}  {"item", "secrets": […]}: what was issued for an item, newest last
//	GET    /faults          {"faults": […]}
//	POST   /faults          add a Fault; 201 {fault}
//	DELETE /faults          forget all faults
//	POST   /foreign         plant a resource that is not the caller's: {"name","kind","region","labels"}
//
// State is an append-only file of JSON lines, synced before an effect is answered, so it survives the
// death of the product and of the sim itself. Nothing runs in the background: a resource's phase
// follows from its times and the clock.
package sim
