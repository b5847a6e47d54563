"""The Kubernetes API, and the only home of the ``kubernetes`` package.

Plain objects in, plain objects out, errors as :class:`LabError`. Changes are made by server-side apply, so that
running them again changes nothing. Of the package only the transport is used: kubeconfig, certificates, connections.
Its DynamicClient reads every API group of the server before the first request; asking only for the group that is
needed costs one small request, and a group that appears later (MetalLB's) is found without clearing a cache.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from metallab import errors
from metallab.errors import LabError
from metallab.run import pace, wait
from metallab.run.wait import NotYet

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

Object = dict[str, Any]
"""A Kubernetes object as it is written in YAML."""

T = TypeVar("T")
FIELD_MANAGER = "metallab"
CONNECT_SECONDS = 3.0
READ_SECONDS = 20.0
"""More than the 10 s the API server itself gives a webhook, so that its answer is seen."""
BUSY_SECONDS = 15.0
"""How long "busy" (429, 503, 504) is waited out: the API server says so while its storage starts, or when it had no
time for a request. What is sent here can be sent again: it is read, applied or deleted."""
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
NOT_FOUND = 404
BUSY = (429, 503, 504)


class ApiUnreachable(LabError):
    """The API server could not be talked to; nothing is known about the cluster."""

    def __init__(self, server: str, reason: str) -> None:
        super().__init__(errors.CLUSTER_UNREACHABLE, f"no answer from {server}: {reason}", where=server)
        self.reason = reason


class Refused(LabError):
    """The API server answered and said no. ``status`` is its HTTP status, ``reason`` its own words."""

    def __init__(self, what: str, status: int, reason: str) -> None:
        super().__init__(errors.CLUSTER_REFUSED, f"{what}: {reason}")
        self.status = status
        self.reason = reason


class WebhookNotReady(Refused):
    """A validating webhook could not be called, so nothing was validated: ask again a little later."""


def preload() -> None:
    """Import the package, which takes half a second of processor time; for a thread that has nothing else to do."""
    import kubernetes.client  # noqa: F401, PLC0415


def refusal(what: str, status: int, body: str) -> Refused:
    """Read a refusal. The API server answers with a Status object; a proxy on the way would not."""
    try:
        status_object = json.loads(body)
        reason = str(status_object["message"])
    except (ValueError, KeyError, TypeError):
        reason = f"HTTP status {status}: {body.strip()[:300]}"
    # The words of apiserver's admission/plugin/webhook/errors; a webhook that ran and denied says "denied the request".
    kind = WebhookNotReady if status >= 500 and "failed calling webhook" in reason else Refused  # noqa: PLR2004
    return kind(what, status, reason)


class Cluster:
    """One cluster, reached with one kubeconfig. May be used by several threads.

    ``read_seconds`` is how long an answer may take, ``busy_seconds`` how long "busy" is waited out.
    """

    def __init__(
        self, kubeconfig: Path, *, read_seconds: float = READ_SECONDS, busy_seconds: float = BUSY_SECONDS
    ) -> None:
        self.kubeconfig = kubeconfig
        self._read_seconds = read_seconds
        self._busy_seconds = busy_seconds
        self._lock = threading.Lock()
        self._client: ApiClient | None = None
        self._kinds: dict[str, dict[str, tuple[str, bool]]] = {}

    # -- reading ---------------------------------------------------------------------------------------------

    def healthz(self) -> bool:
        """Tell whether the API server can be reached and calls itself ready."""
        try:
            return self._send("GET", "/readyz") == "ok"
        except (ApiUnreachable, Refused):
            return False

    def version(self) -> str:
        """Return the API server's version, like ``v1.37.2``."""
        return str(self._request("GET", "/version")["gitVersion"])

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """Return an object, or None when there is none of that name (or no such kind in this cluster)."""
        return self._or_none(lambda: self._request("GET", self._path(api_version, kind, name, namespace)))

    def list(
        self, api_version: str, kind: str, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> list[Object]:
        """Return objects, of all namespaces when none is named; ``labels`` and ``fields`` are selectors.

        A kind the cluster does not know has no objects.
        """
        query = {key: value for key, value in (("labelSelector", labels), ("fieldSelector", fields)) if value}
        found = self._or_none(lambda: self._request("GET", self._path(api_version, kind, None, namespace), query))
        items: list[Object] = found["items"] if found is not None else []
        return items

    def logs(self, namespace: str, pod: str, container: str, *, lines: int, previous: bool = False) -> str:
        """Return the last lines of a container, or of the one before it in the same pod.

        Raises :class:`Refused` when there is none.
        """
        query = {
            "container": container,
            "tailLines": str(lines),
            "timestamps": "true",
            "previous": str(previous).lower(),
        }
        return self._send("GET", f"{self._path('v1', 'Pod', pod, namespace)}/log", query)

    # -- changing --------------------------------------------------------------------------------------------

    def apply(self, manifest: Object) -> bool:
        """Apply an object server-side as ours, and tell whether that changed anything.

        Raises :class:`WebhookNotReady` or another :class:`Refused`, or :class:`ApiUnreachable`.
        """
        api_version, kind, metadata = manifest["apiVersion"], manifest["kind"], manifest["metadata"]
        path = self._path(api_version, kind, metadata["name"], metadata.get("namespace"))
        before = self._or_none(lambda: self._request("GET", path))
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        what = f"{kind} {metadata['name']}"
        after = self._request("PATCH", path, query, manifest, APPLY, what=what)
        return before is None or _revision(before) != _revision(after)

    def patch(self, api_version: str, kind: str, name: str, change: Object, namespace: str | None = None) -> Object:
        """Merge ``change`` into an object (None removes a field) and return the object."""
        path = self._path(api_version, kind, name, namespace)
        query = {"fieldManager": FIELD_MANAGER}
        return self._request("PATCH", path, query, change, MERGE, what=f"{kind} {name}")

    def delete(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str | None = None,
        *,
        wait_seconds: float = 0,
        with_owned: bool = False,
    ) -> bool:
        """Delete an object and tell whether there was one.

        With ``wait_seconds`` return only when it is gone, which is after its pods are gone when ``with_owned``.
        Raises LAB-CLUS-001 when that takes longer.
        """
        policy = "Foreground" if with_owned else "Background"
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy}
        what = f"{kind} {name}"

        def send() -> Object:
            return self._request("DELETE", self._path(api_version, kind, name, namespace), None, options, what=what)

        existed = self._or_none(send) is not None
        if existed and wait_seconds:

            def gone() -> None:
                if self.get(api_version, kind, name, namespace) is not None:
                    raise NotYet("it is still there")

            wait.until(gone, timeout=wait_seconds, what=f"{what} to be gone")
        return existed

    def issue_token(self, namespace: str, account: str, *, seconds: int) -> str:
        """Return a new token of a ServiceAccount that is good for so many seconds (the server may shorten that)."""
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": seconds},
        }
        path = f"{self._path('v1', 'ServiceAccount', account, namespace)}/token"
        answer = self._request("POST", path, None, body, what=f"token of {account}")
        return str(answer["status"]["token"])

    # -- the way there ---------------------------------------------------------------------------------------

    def _or_none(self, ask: Callable[[], T]) -> T | None:
        try:
            return ask()
        except Refused as refused:
            if refused.status == NOT_FOUND:
                return None
            raise

    def _path(self, api_version: str, kind: str, name: str | None, namespace: str | None) -> str:
        plural, namespaced = self._kind(api_version, kind)
        parts = [_root(api_version)]
        if namespaced and namespace is not None:
            parts += ["namespaces", namespace]
        parts += [plural] if name is None else [plural, name]
        return "/".join(parts)

    def _kind(self, api_version: str, kind: str) -> tuple[str, bool]:
        """Return the plural name of a kind and whether it lives in namespaces, asking the server once a group."""
        with self._lock:
            known = self._kinds.get(api_version, {})
        if kind not in known:
            listing = self._request("GET", _root(api_version), what=f"kind {kind}")
            known = {
                item["kind"]: (item["name"], bool(item["namespaced"]))
                for item in listing["resources"]
                if "/" not in item["name"]
            }
            with self._lock:
                self._kinds[api_version] = known
        if kind not in known:
            raise Refused(f"kind {kind}", NOT_FOUND, f"{api_version} has no such kind")
        return known[kind]

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
        *,
        what: str = "",
    ) -> Object:
        text = self._send(method, path, query, body, content_type, what=what)
        try:
            answer: Object = json.loads(text)
        except ValueError as error:
            raise ApiUnreachable(self._server(), f"its answer is no JSON: {text.strip()[:80]!r}") from error
        return answer

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
        *,
        what: str = "",
    ) -> str:
        """Send a request and return the answer's text; an API server that is busy is asked again."""

        def send() -> str:
            status, text = self._exchange(method, path, query, body, content_type)
            if status < 300:  # noqa: PLR2004 - HTTP's own limit
                return text
            refused = refusal(what or f"{method} {path}", status, text)
            if status in BUSY and not isinstance(refused, WebhookNotReady):
                raise NotYet(refused.reason)
            raise refused

        return wait.until(
            send,
            timeout=self._busy_seconds,
            what="the API server to be less busy",
            entry=errors.CLUSTER_UNREACHABLE,
            every=1,
        )

    def _exchange(
        self, method: str, path: str, query: Mapping[str, str] | None, body: Object | None, content_type: str
    ) -> tuple[int, str]:
        import urllib3.exceptions  # noqa: PLC0415 - comes with the kubernetes package, which is loaded late
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415

        client = self._connection()
        headers = {"Accept": "application/json", "Content-Type": content_type}
        try:
            words = list((query or {}).items())
            limits = (pace.scaled(CONNECT_SECONDS), pace.scaled(self._read_seconds))
            _, url, signed, _, _ = client.param_serialize(
                method, path, query_params=words, header_params=headers, auth_settings=["BearerToken"]
            )
            response = client.call_api(method, url, signed, body, _request_timeout=limits)
            text: bytes = response.read()  # type: ignore[no-untyped-call]
        except ApiException as error:  # raised by the package itself only for TLS trouble
            raise ApiUnreachable(self._server(), str(error.reason)) from error
        except urllib3.exceptions.HTTPError as error:
            raise ApiUnreachable(self._server(), _words(error)) from error
        return response.status, text.decode(errors="replace")

    def _connection(self) -> ApiClient:
        with self._lock:
            if self._client is None:
                self._client = _connect(self.kubeconfig)
            return self._client

    def _server(self) -> str:
        return str(self._connection().configuration.host)


def _connect(kubeconfig: Path) -> ApiClient:
    import yaml  # noqa: PLC0415 - see preload()
    from kubernetes import client, config  # noqa: PLC0415
    from kubernetes.config import ConfigException  # noqa: PLC0415

    settings = client.Configuration()
    try:
        # The package unpacks the client's key into files; beside the kubeconfig they are as safe as the key in it.
        config.load_kube_config(  # type: ignore[no-untyped-call]
            str(kubeconfig), client_configuration=settings, persist_config=False, temp_file_path=str(kubeconfig.parent)
        )
    # A damaged one also fails in the parser, in base64, and where the package takes for granted what is not there.
    except (ConfigException, OSError, yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ApiUnreachable(str(kubeconfig), f"no usable kubeconfig: {reason}") from error
    # A proxy from the environment knows nothing of the lab's own network.
    settings.proxy = None
    # Whoever can wait does so with a deadline; the transport's own retries would only hide the first error.
    settings.retries = False
    return client.ApiClient(settings)


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _revision(manifest: Object) -> str:
    return str(manifest["metadata"]["resourceVersion"])


def _words(error: Exception) -> str:
    """Return the end of urllib3's message, which begins with the connection object's address in memory."""
    return str(error).rpartition(">: ")[2] or str(error) or type(error).__name__
