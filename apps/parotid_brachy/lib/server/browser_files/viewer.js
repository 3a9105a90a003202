// Served as the first part of OHIF's app-config.js, which the server completes: SERVER is
// {"root": path that this server is mounted at, "login": address of the login page}.
//
// OHIF's MONAI Label panel runs models but has no button to submit; this adds one, and says who is
// logged in.
const parotid = (() => {
  'use strict';

  const SERVER = __SERVER__;
  const address = path => `${SERVER.root}${path}`;

  // The panel takes its server from this cookie, and assumes port 8000 without it.
  const own = `${window.location.origin}${SERVER.root}/`;
  document.cookie = `MONAILABEL_SERVER_URL=${escape(own)}; path=${SERVER.root}/ohif/; SameSite=Strict`;

  const SEGMENTATION = '1'; // the id that the panel gives to its own
  const NAME = 'parotid-reader';
  let services = null;
  let reader = null;

  const bar = document.createElement('div');
  bar.id = 'parotid-bar';
  bar.setAttribute('role', 'region');
  bar.setAttribute('aria-label', 'Contours and login');
  Object.assign(bar.style, {
    position: 'fixed', bottom: '0', left: '0', zIndex: '1000', padding: '4px 10px',
    background: '#151b4d', color: '#f2f4ff', font: '13px/1.6 system-ui, sans-serif',
    borderTopRightRadius: '6px', display: 'flex', flexWrap: 'wrap', gap: '4px 10px',
    alignItems: 'center', maxWidth: '280px', boxSizing: 'border-box', // the study panel's width
  });

  function part(tag, text, action) {
    const element = document.createElement(tag);
    element.textContent = text;
    if (action) {
      element.type = 'button';
      element.addEventListener('click', action);
      Object.assign(element.style, {
        padding: '2px 10px', color: '#fff', background: '#2f49c8', border: '1px solid #8f9bd8',
        borderRadius: '4px', cursor: 'pointer',
      });
    }
    bar.append(element);
    return element;
  }

  const who = part('span', '');
  const rename = part('button', 'Name', askName);
  const leave = part('button', 'Log out', logOut);
  const enter = part('button', 'Log in', logIn);
  const submit = part('button', 'Submit contours', submitContours);
  const said = part('span', '');
  who.id = 'parotid-who';
  submit.id = 'parotid-submit';
  said.id = 'parotid-said';
  said.setAttribute('role', 'status');
  for (const one of [rename, leave, enter, submit]) one.hidden = true;

  function say(text, isFault = false) {
    said.textContent = text;
    said.style.color = isFault ? '#ffb0b0' : '#b8f5c8';
  }

  function statedName() {
    return reader && !reader.is_proved ? window.localStorage.getItem(NAME) || '' : '';
  }

  function showReader() {
    const isProved = Boolean(reader && reader.is_proved);
    who.textContent = !reader ? '' : isProved
      ? `${reader.name} (${reader.role})` : `${statedName() || 'no name'}, not logged in`;
    leave.hidden = !isProved;
    rename.hidden = enter.hidden = !reader || isProved;
  }

  async function lookWho() {
    const answer = await fetch(address('/review/me'));
    if (answer.ok) reader = await answer.json();
    showReader();
  }

  function askName() {
    const name = window.prompt('Under which name of the readers file do you contour?', statedName());
    if (name !== null) window.localStorage.setItem(NAME, name.trim());
    showReader();
  }

  function wanted() {
    const { pathname, search } = window.location;
    return encodeURIComponent(pathname.slice(SERVER.root.length) + search);
  }

  function logIn() {
    window.location.assign(`${address(SERVER.login)}?next=${wanted()}`);
  }

  async function logOut() {
    await fetch(address('/auth/session'), { method: 'DELETE' });
    window.location.assign(address(SERVER.login));
  }

  function labelmap() {
    try {
      return services ? services.segmentationService.getLabelmapVolume(SEGMENTATION) : null;
    } catch {
      return null; // no panel has connected yet
    }
  }

  // Contours that are not submitted yet would be lost with the page.
  function loginHasExpired() {
    if (!labelmap()) {
      logIn();
      return;
    }
    say('Your login has expired. Log in in the new tab, then go on here. ', true);
    const link = document.createElement('a');
    link.href = `${address(SERVER.login)}?next=${wanted()}`;
    link.target = '_blank';
    link.rel = 'noopener';
    link.textContent = 'Log in';
    link.style.textDecoration = 'underline';
    said.append(link);
  }

  async function reasonOf(answer) {
    try {
      const { detail } = JSON.parse(await answer.text());
      return typeof detail === 'string' ? detail : JSON.stringify(detail);
    } catch {
      return 'the server gave no reason';
    }
  }

  // Every request of OHIF's that the server refuses: the panel shows no reasons.
  const send = XMLHttpRequest.prototype.send;
  XMLHttpRequest.prototype.send = function (...content) {
    this.addEventListener('loadend', () => {
      if (!this.responseURL.startsWith(own)) return;
      const path = this.responseURL.slice(own.length - 1);
      if (this.status === 401) loginHasExpired();
      else if (this.status >= 400 && path.startsWith('/infer/')) {
        reasonOf(new Response(this.response)).then(reason => say(reason, true));
      } else if (this.status === 200 && path.startsWith('/infer/')) say('');
    });
    return send.apply(this, content);
  };

  // Of the images that the label map was made for, whatever is shown now.
  function seriesOf() {
    const { representationData } = services.segmentationService.getSegmentation(SEGMENTATION);
    const image = representationData.Labelmap.referencedImageIds[0];
    const found = /\/series\/([0-9.]+)\//.exec(image);
    if (!found) throw new Error('it is not known which series was contoured');
    return found[1];
  }

  function segmentsOf() {
    const all = Object.values(services.segmentationService.getSegmentations());
    const ours = all.find(one => one.segmentationId === SEGMENTATION);
    const segments = ours.segments || ours.config.segments;
    return Object.values(segments).filter(one => one)
      .map(one => ({ name: one.label, idx: one.segmentIndex }));
  }

  // An NRRD file: unlike bare bytes, it says where the voxels lie, and the server compares it with
  // the series.
  async function nrrdOf(volume) {
    const { dimensions, spacing, origin, direction } = volume;
    const voxels = Uint8Array.from(volume.voxelManager.getCompleteScalarDataArray());
    if (voxels.length !== dimensions[0] * dimensions[1] * dimensions[2]) {
      throw new Error('the label map has not as many voxels as the series');
    }
    const axis = n => [0, 1, 2].map(at => direction[3 * n + at] * spacing[n]).join(',');
    const isPacked = typeof CompressionStream === 'function';
    const content = isPacked
      ? await new Response(new Blob([voxels]).stream()
        .pipeThrough(new CompressionStream('gzip'))).blob()
      : voxels;
    const header = [
      'NRRD0004', 'type: uint8', 'dimension: 3', 'space: left-posterior-superior',
      `sizes: ${Array.from(dimensions).join(' ')}`,
      `space directions: (${axis(0)}) (${axis(1)}) (${axis(2)})`,
      'kinds: domain domain domain', `encoding: ${isPacked ? 'gzip' : 'raw'}`,
      `space origin: (${Array.from(origin).join(',')})`, '', '',
    ].join('\n');
    return new Blob([header, content]);
  }

  async function submitContours() {
    const volume = labelmap();
    if (!volume) {
      say('Connect the MONAI Label panel first: there are no contours yet.', true);
      return;
    }
    const name = reader && reader.is_proved ? reader.name : statedName() || 'nobody known';
    if (!window.confirm(`Submit these contours as ${name}?`)) return;
    submit.disabled = true;
    say('Submitting ...');
    try {
      const form = new FormData();
      const params = { label_info: segmentsOf() };
      if (statedName()) params.client_id = statedName();
      form.append('params', JSON.stringify(params));
      form.append('label', await nrrdOf(volume), 'label.nrrd');
      const series = encodeURIComponent(seriesOf());
      const answer = await fetch(address(`/datastore/label?image=${series}`),
        { method: 'PUT', body: form });
      if (answer.status === 401) loginHasExpired();
      else if (!answer.ok) say(`Not submitted: ${await reasonOf(answer)}`, true);
      else {
        const { tag, version } = await answer.json();
        say(`Submitted as ${tag} (version ${version}).`);
      }
    } catch (error) {
      say(`Not submitted: ${error.message}`, true);
    } finally {
      submit.disabled = false;
    }
  }

  window.addEventListener('DOMContentLoaded', () => {
    document.body.append(bar);
    // The panel would lie over the segments that are put below it.
    const style = document.createElement('style');
    style.textContent = '.monaiLabelPanel { height: auto !important; flex: none; }';
    document.head.append(style);
    lookWho();
  });
  window.addEventListener('focus', lookWho); // logged in or out in another tab

  return {
    id: 'parotid-brachy',
    preRegistration: ({ servicesManager }) => { services = servicesManager.services; },
    onModeEnter: () => { submit.hidden = !window.location.pathname.includes('/monai-label'); },
    onModeExit: () => { submit.hidden = true; say(''); },
    handleHttpError: error => console.warn('DICOMweb', error && error.status),
    address,
  };
})();

// The bundled MONAI Label mode shows neither segments nor brushes: without them nothing is edited.
parotid.editing = (() => {
  'use strict';

  const PANEL = '@ohif/extension-cornerstone.panelModule.panelSegmentationWithTools';
  const shapes = (tool, names) => ({
    name: 'Shape', type: 'radio', id: `${tool}-shape`, value: names.Circle,
    values: Object.entries(names).map(([label, value]) => ({ value, label })),
    commands: 'setToolActiveToolbar',
  });
  const brush = (id, label, icon, names) => ({
    id, label, icon,
    evaluate: { name: 'evaluate.cornerstone.segmentation', toolNames: Object.values(names) },
    options: [
      {
        name: 'Radius (mm)', id: `${id}-radius`, type: 'range', min: 0.5, max: 40, step: 0.5,
        value: 5,
        commands: {
          commandName: 'setBrushSize', commandOptions: { toolNames: Object.values(names) },
        },
      },
      shapes(id, names),
    ],
  });
  const buttons = [
    {
      id: 'BrushTools',
      uiType: 'ohif.buttonGroup',
      props: {
        groupId: 'BrushTools',
        items: [
          brush('Brush', 'Brush', 'icon-tool-brush',
            { Circle: 'CircularBrush', Sphere: 'SphereBrush' }),
          brush('Eraser', 'Eraser', 'icon-tool-eraser',
            { Circle: 'CircularEraser', Sphere: 'SphereEraser' }),
        ],
      },
    },
    {
      id: 'Shapes',
      uiType: 'ohif.radioGroup',
      props: {
        label: 'Shapes',
        icon: 'icon-tool-shape',
        evaluate: {
          name: 'evaluate.cornerstone.segmentation',
          toolNames: ['CircleScissor', 'SphereScissor', 'RectangleScissor'],
        },
        options: [shapes('scissors', {
          Circle: 'CircleScissor', Sphere: 'SphereScissor', Rectangle: 'RectangleScissor',
        })],
      },
    },
  ];

  function withPanel(route) {
    return {
      ...route,
      layoutTemplate: given => {
        const layout = route.layoutTemplate(given);
        const [panel] = layout.props.rightPanels;
        return { ...layout, props: { ...layout.props, rightPanels: [[panel, PANEL]] } };
      },
    };
  }

  return mode => ({
    ...mode,
    modeFactory: given => {
      const made = mode.modeFactory(given);
      return {
        ...made,
        routes: made.routes.map(withPanel),
        onModeEnter: entered => {
          entered.servicesManager.services.toolbarService.addButtons(buttons);
          made.onModeEnter(entered);
        },
      };
    },
  });
})();

parotid.settings = {
  routerBasename: parotid.address('/ohif/'),
  extensions: [{
    id: parotid.id,
    preRegistration: parotid.preRegistration,
    onModeEnter: parotid.onModeEnter,
    onModeExit: parotid.onModeExit,
  }],
  modes: [],
  showStudyList: true,
  showWarningMessageForCrossOrigin: false,
  showCPUFallbackMessage: true,
  showLoadingIndicator: true,
  strictZSpacingForVolumeViewport: true,
  useSharedArrayBuffer: 'FALSE',
  investigationalUseDialog: { option: 'never' },
  httpErrorHandler: parotid.handleHttpError,
  defaultDataSourceName: 'dicomweb',
  dataSources: [
    {
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      sourceName: 'dicomweb',
      configuration: {
        friendlyName: 'The archive of this server',
        name: 'archive',
        wadoUriRoot: parotid.address('/proxy/dicom/wado'),
        qidoRoot: parotid.address('/proxy/dicom/qido'),
        wadoRoot: parotid.address('/proxy/dicom/wado'),
        qidoSupportsIncludeField: true,
        supportsReject: false,
        imageRendering: 'wadors',
        thumbnailRendering: 'wadors',
        enableStudyLazyLoad: true,
        supportsFuzzyMatching: false,
        supportsWildcard: true,
        dicomUploadEnabled: false,
        bulkDataURI: { enabled: true },
      },
    },
  ],
};

// A function, which alone can have the bundled mode; other parts of OHIF read its properties.
window.config = Object.assign(
  async ({ peerImport }) => ({
    ...parotid.settings,
    // The first of an id counts.
    modes: [parotid.editing(await peerImport('@ohif/mode-monai-label'))],
  }),
  parotid.settings,
);
