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
// [Client.Watch] goes on after the revision it has reached, on whichever node is left.
package client
