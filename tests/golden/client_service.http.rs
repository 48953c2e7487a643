//! A copy of what the build writes for `ClientService`, for readers and reviews. Nothing uses it.

/// The fields of each message that a request can carry.
#[allow(non_upper_case_globals)]
mod tables {
    use crate::transcode::{Field, Kind, Message};
    pub(super) static jumpstarter_client_v1_CreateLeaseRequest: Message = Message {
        name: "jumpstarter.client.v1.CreateLeaseRequest",
        fields: &[
            Field::new(1u32, "parent", "parent", false, Kind::Text),
            Field::new(2u32, "lease_id", "leaseId", false, Kind::Text),
            Field::new(
                3u32,
                "lease",
                "lease",
                false,
                Kind::Message(&jumpstarter_client_v1_Lease),
            ),
        ],
    };
    pub(super) static jumpstarter_client_v1_DeleteLeaseRequest: Message = Message {
        name: "jumpstarter.client.v1.DeleteLeaseRequest",
        fields: &[Field::new(1u32, "name", "name", false, Kind::Text)],
    };
    pub(super) static jumpstarter_client_v1_GetExporterRequest: Message = Message {
        name: "jumpstarter.client.v1.GetExporterRequest",
        fields: &[
            Field::new(1u32, "name", "name", false, Kind::Text),
            Field::new(2u32, "show_hidden_labels", "showHiddenLabels", false, Kind::Text),
        ],
    };
    pub(super) static jumpstarter_client_v1_GetLeaseRequest: Message = Message {
        name: "jumpstarter.client.v1.GetLeaseRequest",
        fields: &[Field::new(1u32, "name", "name", false, Kind::Text)],
    };
    pub(super) static jumpstarter_client_v1_Lease: Message = Message {
        name: "jumpstarter.client.v1.Lease",
        fields: &[
            Field::new(1u32, "name", "name", false, Kind::Text).identifier(),
            Field::new(2u32, "selector", "selector", false, Kind::Text),
            Field::new(3u32, "duration", "duration", false, Kind::Text),
            Field::new(
                4u32,
                "effective_duration",
                "effectiveDuration",
                false,
                Kind::Text,
            ),
            Field::new(5u32, "begin_time", "beginTime", false, Kind::Text),
            Field::new(
                6u32,
                "effective_begin_time",
                "effectiveBeginTime",
                false,
                Kind::Text,
            ),
            Field::new(7u32, "end_time", "endTime", false, Kind::Text),
            Field::new(
                8u32,
                "effective_end_time",
                "effectiveEndTime",
                false,
                Kind::Text,
            ),
            Field::new(9u32, "client", "client", false, Kind::Text),
            Field::new(10u32, "exporter", "exporter", false, Kind::Text),
            Field::new(
                11u32,
                "conditions",
                "conditions",
                true,
                Kind::Message(&jumpstarter_v1_Condition),
            ),
            Field::new(12u32, "exporter_name", "exporterName", false, Kind::Text),
            Field::new(13u32, "tags", "tags", false, Kind::Opaque),
            Field::new(14u32, "allow_disabled", "allowDisabled", false, Kind::Text),
            Field::new(15u32, "context", "context", false, Kind::Opaque),
            Field::new(
                16u32,
                "deprecated_labels",
                "deprecatedLabels",
                false,
                Kind::Opaque,
            ),
        ],
    };
    pub(super) static jumpstarter_client_v1_ListExportersRequest: Message = Message {
        name: "jumpstarter.client.v1.ListExportersRequest",
        fields: &[
            Field::new(1u32, "parent", "parent", false, Kind::Text),
            Field::new(2u32, "page_size", "pageSize", false, Kind::Text),
            Field::new(3u32, "page_token", "pageToken", false, Kind::Text),
            Field::new(4u32, "filter", "filter", false, Kind::Text),
            Field::new(5u32, "show_hidden_labels", "showHiddenLabels", false, Kind::Text),
        ],
    };
    pub(super) static jumpstarter_client_v1_ListLeasesRequest: Message = Message {
        name: "jumpstarter.client.v1.ListLeasesRequest",
        fields: &[
            Field::new(1u32, "parent", "parent", false, Kind::Text),
            Field::new(2u32, "page_size", "pageSize", false, Kind::Text),
            Field::new(3u32, "page_token", "pageToken", false, Kind::Text),
            Field::new(4u32, "filter", "filter", false, Kind::Text),
            Field::new(5u32, "only_active", "onlyActive", false, Kind::Text),
            Field::new(6u32, "tag_filter", "tagFilter", false, Kind::Text),
        ],
    };
    pub(super) static jumpstarter_client_v1_RotateTokenRequest: Message = Message {
        name: "jumpstarter.client.v1.RotateTokenRequest",
        fields: &[Field::new(1u32, "parent", "parent", false, Kind::Text)],
    };
    pub(super) static jumpstarter_client_v1_UpdateLeaseRequest: Message = Message {
        name: "jumpstarter.client.v1.UpdateLeaseRequest",
        fields: &[
            Field::new(
                1u32,
                "lease",
                "lease",
                false,
                Kind::Message(&jumpstarter_client_v1_Lease),
            ),
            Field::new(2u32, "update_mask", "updateMask", false, Kind::Text),
        ],
    };
    pub(super) static jumpstarter_v1_Condition: Message = Message {
        name: "jumpstarter.v1.Condition",
        fields: &[
            Field::new(1u32, "type", "type", false, Kind::Text),
            Field::new(2u32, "status", "status", false, Kind::Text),
            Field::new(
                3u32,
                "observedGeneration",
                "observedGeneration",
                false,
                Kind::Text,
            ),
            Field::new(
                4u32,
                "lastTransitionTime",
                "lastTransitionTime",
                false,
                Kind::Message(&jumpstarter_v1_Time),
            ),
            Field::new(5u32, "reason", "reason", false, Kind::Text),
            Field::new(6u32, "message", "message", false, Kind::Text),
        ],
    };
    pub(super) static jumpstarter_v1_Time: Message = Message {
        name: "jumpstarter.v1.Time",
        fields: &[
            Field::new(1u32, "seconds", "seconds", false, Kind::Text),
            Field::new(2u32, "nanos", "nanos", false, Kind::Text),
        ],
    };
}
use crate::transcode;
///HTTP rows of `jumpstarter.client.v1.ClientService`.
pub mod client_service_http {
    use super::{client_service_server::ClientService, tables, transcode};
    use std::sync::Arc;
    use transcode::{Binding, Body, Capture, Segment};
    /// What `Binding::rpc` says of each rpc that has a row.
    #[allow(dead_code)]
    pub mod rpcs {
        pub const GET_EXPORTER: &str = "jumpstarter.client.v1.ClientService/GetExporter";
        pub const LIST_EXPORTERS: &str = "jumpstarter.client.v1.ClientService/ListExporters";
        pub const GET_LEASE: &str = "jumpstarter.client.v1.ClientService/GetLease";
        pub const LIST_LEASES: &str = "jumpstarter.client.v1.ClientService/ListLeases";
        pub const CREATE_LEASE: &str = "jumpstarter.client.v1.ClientService/CreateLease";
        pub const UPDATE_LEASE: &str = "jumpstarter.client.v1.ClientService/UpdateLease";
        pub const DELETE_LEASE: &str = "jumpstarter.client.v1.ClientService/DeleteLease";
        pub const ROTATE_TOKEN: &str = "jumpstarter.client.v1.ClientService/RotateToken";
    }
    /// Every row, in the order of the proto.
    pub static BINDINGS: [Binding; 8usize] = [
        Binding {
            index: 0usize,
            rpc: "jumpstarter.client.v1.ClientService/GetExporter",
            method: "GET",
            template: "/v1/{name=namespaces/*/exporters/*}",
            segments: &[
                Segment::Literal("v1"),
                Segment::Literal("namespaces"),
                Segment::One,
                Segment::Literal("exporters"),
                Segment::One,
            ],
            verb: None,
            captures: &[
                Capture {
                    path: &[
                        &tables::jumpstarter_client_v1_GetExporterRequest.fields[0usize],
                    ],
                    start: 1usize,
                    end: 5usize,
                    multi: true,
                },
            ],
            request: &tables::jumpstarter_client_v1_GetExporterRequest,
            body: Body::None,
            response_body: None,
            mask: None,
        },
        Binding {
            index: 1usize,
            rpc: "jumpstarter.client.v1.ClientService/ListExporters",
            method: "GET",
            template: "/v1/{parent=namespaces/*}/exporters",
            segments: &[
                Segment::Literal("v1"),
                Segment::Literal("namespaces"),
                Segment::One,
                Segment::Literal("exporters"),
            ],
            verb: None,
            captures: &[
                Capture {
                    path: &[
                        &tables::jumpstarter_client_v1_ListExportersRequest
                            .fields[0usize],
                    ],
                    start: 1usize,
                    end: 3usize,
                    multi: true,
                },
            ],
            request: &tables::jumpstarter_client_v1_ListExportersRequest,
            body: Body::None,
            response_body: None,
            mask: None,
        },
        Binding {
            index: 2usize,
            rpc: "jumpstarter.client.v1.ClientService/GetLease",
            method: "GET",
            template: "/v1/{name=namespaces/*/leases/*}",
            segments: &[
                Segment::Literal("v1"),
                Segment::Literal("namespaces"),
                Segment::One,
                Segment::Literal("leases"),
                Segment::One,
            ],
            verb: None,
            captures: &[
                Capture {
                    path: &[
                        &tables::jumpstarter_client_v1_GetLeaseRequest.fields[0usize],
                    ],
                    start: 1usize,
                    end: 5usize,
                    multi: true,
                },
            ],
            request: &tables::jumpstarter_client_v1_GetLeaseRequest,
            body: Body::None,
            response_body: None,
            mask: None,
        },
        Binding {
            index: 3usize,
            rpc: "jumpstarter.client.v1.ClientService/ListLeases",
            method: "GET",
            template: "/v1/{parent=namespaces/*}/leases",
            segments: &[
                Segment::Literal("v1"),
                Segment::Literal("namespaces"),
                Segment::One,
                Segment::Literal("leases"),
            ],
            verb: None,
            captures: &[
                Capture {
                    path: &[
                        &tables::jumpstarter_client_v1_ListLeasesRequest.fields[0usize],
                    ],
                    start: 1usize,
                    end: 3usize,
                    multi: true,
                },
            ],
            request: &tables::jumpstarter_client_v1_ListLeasesRequest,
            body: Body::None,
            response_body: None,
            mask: None,
        },
        Binding {
            index: 4usize,
            rpc: "jumpstarter.client.v1.ClientService/CreateLease",
            method: "POST",
            template: "/v1/{parent=namespaces/*}/leases",
            segments: &[
                Segment::Literal("v1"),
                Segment::Literal("namespaces"),
                Segment::One,
                Segment::Literal("leases"),
            ],
            verb: None,
            captures: &[
                Capture {
                    path: &[
                        &tables::jumpstarter_client_v1_CreateLeaseRequest.fields[0usize],
                    ],
                    start: 1usize,
                    end: 3usize,
                    multi: true,
                },
            ],
            request: &tables::jumpstarter_client_v1_CreateLeaseRequest,
            body: Body::Field(
                &tables::jumpstarter_client_v1_CreateLeaseRequest.fields[2usize],
            ),
            response_body: None,
            mask: None,
        },
        Binding {
            index: 5usize,
            rpc: "jumpstarter.client.v1.ClientService/UpdateLease",
            method: "PATCH",
            template: "/v1/{lease.name=namespaces/*/leases/*}",
            segments: &[
                Segment::Literal("v1"),
                Segment::Literal("namespaces"),
                Segment::One,
                Segment::Literal("leases"),
                Segment::One,
            ],
            verb: None,
            captures: &[
                Capture {
                    path: &[
                        &tables::jumpstarter_client_v1_UpdateLeaseRequest.fields[0usize],
                        &tables::jumpstarter_client_v1_Lease.fields[0usize],
                    ],
                    start: 1usize,
                    end: 5usize,
                    multi: true,
                },
            ],
            request: &tables::jumpstarter_client_v1_UpdateLeaseRequest,
            body: Body::Field(
                &tables::jumpstarter_client_v1_UpdateLeaseRequest.fields[0usize],
            ),
            response_body: None,
            mask: Some(transcode::Mask {
                field: &tables::jumpstarter_client_v1_UpdateLeaseRequest.fields[1usize],
                resource: &tables::jumpstarter_client_v1_Lease,
            }),
        },
        Binding {
            index: 6usize,
            rpc: "jumpstarter.client.v1.ClientService/DeleteLease",
            method: "DELETE",
            template: "/v1/{name=namespaces/*/leases/*}",
            segments: &[
                Segment::Literal("v1"),
                Segment::Literal("namespaces"),
                Segment::One,
                Segment::Literal("leases"),
                Segment::One,
            ],
            verb: None,
            captures: &[
                Capture {
                    path: &[
                        &tables::jumpstarter_client_v1_DeleteLeaseRequest.fields[0usize],
                    ],
                    start: 1usize,
                    end: 5usize,
                    multi: true,
                },
            ],
            request: &tables::jumpstarter_client_v1_DeleteLeaseRequest,
            body: Body::None,
            response_body: None,
            mask: None,
        },
        Binding {
            index: 7usize,
            rpc: "jumpstarter.client.v1.ClientService/RotateToken",
            method: "POST",
            template: "/v1/{parent=namespaces/*}/rotate-token",
            segments: &[
                Segment::Literal("v1"),
                Segment::Literal("namespaces"),
                Segment::One,
                Segment::Literal("rotate-token"),
            ],
            verb: None,
            captures: &[
                Capture {
                    path: &[
                        &tables::jumpstarter_client_v1_RotateTokenRequest.fields[0usize],
                    ],
                    start: 1usize,
                    end: 3usize,
                    multi: true,
                },
            ],
            request: &tables::jumpstarter_client_v1_RotateTokenRequest,
            body: Body::All,
            response_body: None,
            mask: None,
        },
    ];
    /// Every row with the method of `service` that answers it.
    pub fn routes<S: ClientService>(service: Arc<S>) -> Vec<transcode::Route> {
        vec![
            transcode::Route::unary(& BINDINGS[0usize], & service, | service, request |
            async move { service.get_exporter(request). await }),
            transcode::Route::unary(& BINDINGS[1usize], & service, | service, request |
            async move { service.list_exporters(request). await }),
            transcode::Route::unary(& BINDINGS[2usize], & service, | service, request |
            async move { service.get_lease(request). await }), transcode::Route::unary(&
            BINDINGS[3usize], & service, | service, request | async move { service
            .list_leases(request). await }), transcode::Route::unary(& BINDINGS[4usize],
            & service, | service, request | async move { service.create_lease(request).
            await }), transcode::Route::unary(& BINDINGS[5usize], & service, | service,
            request | async move { service.update_lease(request). await }),
            transcode::Route::unary(& BINDINGS[6usize], & service, | service, request |
            async move { service.delete_lease(request). await }),
            transcode::Route::unary(& BINDINGS[7usize], & service, | service, request |
            async move { service.rotate_token(request). await })
        ]
    }
}
