// Package sim is a simulated cloud whose state is a file. It is the default region for newcomers and injects
// faults in tests. It has both sides of a wire: Server is the cloud, which runs as a process of its own (see Main),
// and Provider is the adapter. The two share no memory. The server must not know orders, sagas or the database, so
// that its records are independent evidence about them.
//
// # The cloud's API (JSON, loopback only, no login)
//
//	GET    /v1/facts                    regions, products, images, free capacity
//	GET    /v1/quota                    used and limit per region
//	POST   /v1/resources                create one resource: 202 {resource}, 200 {resource} if it was upserted
//	GET    /v1/resources/{id}           200 {resource} or 404
//	GET    /v1/resources?label=k=v&…    {"resources": […], "next": "id"}; all labels must match; &after=id&limit=n
//	POST   /v1/reads                    up to 50 queries of the line above in one request:
//	                                    {"reads": [query, …]} → {"answers": [{status, body}, …]}
//	DELETE /v1/resources/{id}           202, or 404 if it does not exist
//	DELETE /v1/resources?label=k=v&…    202 {"deleted": n}; at least one label
//	GET    /v1/credentials?ref=a&ref=b  the credentials of one item's resources
//
// Reads and deletes may name their item and step (?operation= &name= &tenant= &order= &item= &step= &generation=
// &product= &item_label=) for the log and the faults. A refusal is {"error": {"code", "detail", "existing"?}}.
//
// # The operator's API
//
//	GET    /healthz         200 if the ledger can be written
//	GET    /ledger          {"live": […], "log": […]}: what exists now, and every call ever made (?only=live: no log)
//	GET    /secrets/{item}  {"item", "secrets": […]}: the credentials issued for an item, newest last
//	GET    /faults          {"faults": […]}
//	POST   /faults          add a Fault; 201 {fault}
//	DELETE /faults          remove all faults
//	POST   /foreign         create a resource that belongs to no item: {"name","kind","region","labels"}
//
// The state is an append-only file of JSON lines. It is synced before a call with an effect is answered, so it
// survives a crash of the product and of the sim. Nothing runs in the background: a resource's phase follows from
// its times and the clock.
package sim
