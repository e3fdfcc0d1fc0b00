// Package client is the way into a Poolwire cluster for Go programs. A [Client] knows
// several nodes, and is a [google.golang.org/grpc.ClientConnInterface]: every service of
// poolwire.v1 works on it.
//
//	c, err := client.New(client.Config{Endpoints: []string{"192.0.2.1:6700", "192.0.2.2:6700"}, TLS: tlsConfig})
//	if err != nil { … }
//	defer c.Close()
//	pools, err := poolwirev1.NewPoolServiceClient(c).ListPools(ctx, &poolwirev1.ListPoolsRequest{})
//
// Any node answers any call, so a call goes to the node that answered last. When that node
// is gone, or finds no leader, the next one is asked, until the call's deadline. A change is
// given a request_id where it has none, and so happens once however often it is asked for.
// One that has no place for a request_id goes to another node only where nothing was done.
//
// The error of a call is that of its last attempt. Where any attempt of a change may have made
// it, though that error does not settle it, the error has google.rpc.ErrorInfo, domain poolwire,
// reason OUTCOME_UNKNOWN: it was sent, and then the deadline ended, the connection broke or the
// lead was lost. Unavailable, DeadlineExceeded and Canceled without it mean that nothing was
// done. A caller that wants to repeat such a change later gives it a request_id of its own.
//
// [Client.Watch] goes on after the revision it has reached, on whichever node is left.
package client
