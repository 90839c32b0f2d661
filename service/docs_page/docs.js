// Swagger UI with each error response folded to one line, because these are alike and fill several screens.

function foldErrors() {
  function foldable(Response, system) {
    const { createElement, useState } = system.React;

    return function FoldableResponse(props) {
      const [isOpen, setIsOpen] = useState(false);
      if (props.code < "400") {
        return createElement(Response, props);
      }
      const [title] = props.response.get("description").split(". ", 1);
      const button = createElement(
        "button",
        { type: "button", className: "fold", "aria-expanded": isOpen, onClick: () => setIsOpen(!isOpen) },
        `${props.code} ${title}`,
      );
      const row = createElement("tr", { key: "fold", className: "folded" }, createElement("td", { colSpan: 3 }, button));
      return [row, isOpen && createElement(Response, { ...props, key: "response" })];
    };
  }

  return { wrapComponents: { response: foldable } };
}

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  plugins: [foldErrors],
});
